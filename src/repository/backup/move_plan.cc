#include "repository/backup/move_plan.h"

#include <algorithm>

namespace pitr {

// So few bytes of a pack may be dead that its frames aren't worth looking at.
static constexpr double kLivePack = 1 / kReadWanted;

static bool is_deader(const PackLife& a, const PackLife& b) {
  if (a.leave != b.leave) return a.leave;
  return static_cast<double>(a.live_bytes) * static_cast<double>(b.plain_bytes) <
         static_cast<double>(b.live_bytes) * static_cast<double>(a.plain_bytes);
}

std::vector<std::uint32_t> packs_to_look_at(std::span<const PackLife> packs,
                                            std::uint64_t total_bytes, std::uint64_t budget_bytes) {
  std::uint64_t read_bytes = 0;
  for (const auto& pack : packs) read_bytes += pack.live_bytes > 0 ? pack.plain_bytes : 0;
  const bool reads_too_much =
      static_cast<double>(read_bytes) > kReadWanted * static_cast<double>(total_bytes);
  std::vector<std::uint32_t> wanted;
  for (std::uint32_t i = 0; i < packs.size(); ++i) {
    const auto& pack = packs[i];
    if (pack.live_bytes == 0) continue;
    const bool is_dead_enough =
        reads_too_much &&
        static_cast<double>(pack.live_bytes) < kLivePack * static_cast<double>(pack.plain_bytes);
    const bool can_be_freed = pack.is_half_dead() && budget_bytes > 0;
    if (pack.leave || can_be_freed || is_dead_enough) wanted.push_back(i);
  }
  std::ranges::sort(wanted, [&](auto a, auto b) { return is_deader(packs[a], packs[b]); });
  return wanted;
}

MovePlan::MovePlan(std::vector<PackLife> packs, std::uint64_t total_bytes,
                   std::uint64_t budget_bytes)
    : packs_(std::move(packs)),
      frames_(packs_.size()),
      total_bytes_(total_bytes),
      budget_bytes_(budget_bytes) {}

void MovePlan::look_at(std::uint32_t pack, std::vector<std::uint64_t> frame_offsets) {
  const auto count = frame_offsets.size() - 1;
  frames_[pack] =
      Frames{std::move(frame_offsets), std::vector<std::uint32_t>(count), std::vector<bool>(count)};
  looked_at_.push_back(pack);
}

std::size_t MovePlan::Frames::at(std::uint64_t offset) const {
  return static_cast<std::size_t>(std::ranges::upper_bound(offsets, offset) - offsets.begin() - 1);
}

void MovePlan::count(std::uint32_t pack, std::uint64_t offset, std::uint64_t size_bytes) {
  if (!frames_[pack]) return;
  auto& frames = *frames_[pack];
  const auto end = std::min(offset + size_bytes, frames.offsets.back());
  for (auto frame = frames.at(offset); offset < end; ++frame) {
    const auto part = std::min(end, frames.offsets[frame + 1]) - offset;
    frames.live[frame] += static_cast<std::uint32_t>(part);
    offset += part;
  }
}

bool MovePlan::reads_more_than(double factor) const {
  return static_cast<double>(read_bytes_ + moved_bytes_) >
         factor * static_cast<double>(total_bytes_);
}

void MovePlan::move(const Frame& frame) {
  auto& frames = *frames_[frame.pack];
  frames.moves[frame.number] = true;
  moved_bytes_ += frames.live[frame.number];
  read_bytes_ -= frames.size(frame.number);
}

// Deadest frames first, as long as the budget lasts; everything of a pack that is to be left.
void MovePlan::choose_of(std::uint32_t pack) {
  const auto& frames = *frames_[pack];
  std::vector<Frame> order;
  for (std::uint32_t i = 0; i < frames.live.size(); ++i) {
    if (frames.live[i] > 0) order.push_back({pack, i});
  }
  std::ranges::stable_sort(order, {},
                           [&](const Frame& frame) { return frames.live[frame.number]; });
  for (const auto& frame : order) {
    const bool affordable = moved_bytes_ + frames.live[frame.number] <= budget_bytes_;
    if (!packs_[pack].leave && !affordable) break;
    move(frame);
  }
}

void MovePlan::choose() {
  for (std::size_t i = 0; i < packs_.size(); ++i) {
    if (!frames_[i]) read_bytes_ += packs_[i].live_bytes > 0 ? packs_[i].plain_bytes : 0;
  }
  for (const auto pack : looked_at_) {
    const auto& frames = *frames_[pack];
    for (std::size_t i = 0; i < frames.live.size(); ++i) {
      if (frames.live[i] > 0) read_bytes_ += frames.size(i);
    }
  }
  for (const auto pack : looked_at_) {
    if (packs_[pack].leave || packs_[pack].is_half_dead()) choose_of(pack);
  }
  if (!reads_more_than(kReadWanted)) return;

  std::vector<Frame> order;
  for (const auto pack : looked_at_) {
    const auto& frames = *frames_[pack];
    for (std::uint32_t i = 0; i < frames.live.size(); ++i) {
      const bool has_dead_bytes = frames.live[i] > 0 && frames.live[i] < frames.size(i);
      if (has_dead_bytes && !frames.moves[i]) order.push_back({pack, i});
    }
  }
  const auto live_share = [&](const Frame& frame) {
    const auto& frames = *frames_[frame.pack];
    return static_cast<double>(frames.live[frame.number]) /
           static_cast<double>(frames.size(frame.number));
  };
  std::ranges::stable_sort(order, {}, live_share);
  for (const auto& frame : order) {
    const auto live = frames_[frame.pack]->live[frame.number];
    const bool affordable = moved_bytes_ + live <= budget_bytes_;
    if (!reads_more_than(affordable ? kReadWanted : kReadAlways)) break;
    move(frame);
  }
}

MovePlan::Part MovePlan::first_part(std::uint32_t pack, std::uint64_t offset,
                                    std::uint64_t size_bytes) const {
  if (!frames_[pack]) return {size_bytes, false};
  const auto& frames = *frames_[pack];
  if (offset >= frames.offsets.back()) return {size_bytes, false};
  const auto end = offset + size_bytes;
  auto frame = frames.at(offset);
  const bool moves = frames.moves[frame];
  while (frame < frames.live.size() && frames.offsets[frame] < end &&
         frames.moves[frame] == moves) {
    ++frame;
  }
  return {std::min(end, frames.offsets[frame]) - offset, moves};
}

}  // namespace pitr
