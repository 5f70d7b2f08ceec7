#include "retention/simulated_history.h"

#include <fmt/format.h>

#include <algorithm>

#include "retention/retention_model.h"

namespace pitr::test {

using std::chrono::hours;

SimulatedHistory::SimulatedHistory(std::uint64_t seed) : random_(seed) {
  steps_clock_ = happens(0.3);
  const std::uint64_t intervals[] = {6, 12, 24, 24, 24, 48, 168};
  backup_interval_ = hours(intervals[pick(0, 6)]);
  failure_rate_ = happens(0.5) ? 0.2 : 0.0;
  constexpr std::int64_t kFrom = 1'420'000'000, kTo = 1'900'000'000;  // 2014 to 2030
  now_ = Timestamp::from_unix_us(static_cast<std::int64_t>(pick(kFrom, kTo)) * 1'000'000);
  next_backup_ = now_;
  timelines_.push_back({0, 1, {}, now_});
  lsn_ = 10 * kChunk;
}

void SimulatedHistory::write_wal() {
  const auto chunk = lsn_ / kChunk;
  wal_.insert({incarnation_, current().timeline, chunk});
  lsn_ = (chunk + 1) * kChunk;
  current().last_written = now_;
  moments_.push_back({incarnation_, current().timeline, lsn_ - 1, server_time()});
}

void SimulatedHistory::take_backup() {
  const auto start = (lsn_ / kChunk) * kChunk + pick(510, 600);
  for (auto chunks = pick(1, 3); chunks > 0; --chunks) write_wal();
  if (happens(failure_rate_)) return;
  RetentionBackup backup;
  backup.id = fmt::format("b{:05}", all_.size());
  backup.incarnation = incarnation_;
  backup.timeline = current().timeline;
  backup.start_lsn = start;
  backup.stop_lsn = lsn_ - pick(2, 300);
  backup.stop_time = server_time();
  all_.push_back(std::move(backup));
}

// A new timeline from a position on the current one.
void SimulatedHistory::branch(std::uint64_t at_lsn, bool only_a_test) {
  auto timeline = current();
  timeline.ancestors.push_back({timeline.timeline, at_lsn});
  std::uint32_t highest = 0;
  for (const auto& other : timelines_) {
    if (other.incarnation == incarnation_) highest = std::max(highest, other.timeline);
  }
  timeline.timeline = highest + 1;
  const auto back_to = std::pair(current_, lsn_);
  timelines_.push_back(std::move(timeline));
  current_ = timelines_.size() - 1;
  lsn_ = at_lsn;
  write_wal();
  if (only_a_test) std::tie(current_, lsn_) = back_to;
}

void SimulatedHistory::upgrade() {
  ++incarnation_;
  timelines_.push_back({incarnation_, 1, {}, now_});
  current_ = timelines_.size() - 1;
  lsn_ = pick(1, 50) * kChunk;
}

void SimulatedHistory::look_after_backups() {
  if (all_.empty()) return;
  auto& backup = all_[pick(0, all_.size() - 1)];
  if (dropped_.contains(backup.id)) return;
  if (happens(0.2)) backup.is_verified = true;
  if (happens(0.05)) {
    RetentionPin pin{fmt::format("label{}", all_.size()), std::nullopt};
    if (happens(0.8)) pin.expires = now_ + hours(pick(1, 3000));
    backup.pins.push_back(std::move(pin));
  }
}

void SimulatedHistory::step() {
  now_ = now_ + hours(pick(3, 9)) + Seconds(pick(0, 3599));
  if (steps_clock_ && happens(0.02)) {
    const auto most = static_cast<std::uint64_t>(kLargestClockStep.count());
    clock_offset_ = Microseconds(pick(0, 2 * most)) - kLargestClockStep;
    // Expire's own clock is one of those that retention hears of; a backup is never from the
    // future here (there are tests of their own for that).
    clock_offset_ = std::min(clock_offset_, Microseconds(hours(1)));
  }
  write_wal();
  if (happens(0.01)) {
    branch(lsn_ - pick(1, 400), /*only_a_test=*/false);  // a promotion
  } else if (happens(0.01)) {
    const auto& ancestors = current().ancestors;
    const auto oldest = ancestors.empty() ? 10 * kChunk : ancestors.back().end_lsn;
    const auto back = std::min(lsn_ - std::min(lsn_, oldest), pick(1, 40) * kChunk);
    const auto target = lsn_ - back + pick(1, 999);
    // A restore needs what is still there.
    const Moment moment{incarnation_, current().timeline, target - 1, now_};
    const bool is_possible = can_reach(moment, input().backups, timelines_, &wal_);
    if (back > 2 * kChunk && is_possible) branch(target, happens(0.5));
  } else if (happens(0.002)) {
    upgrade();
  }
  if (now_ >= next_backup_) {
    take_backup();
    next_backup_ = next_backup_ + backup_interval_;
    if (happens(0.01)) next_backup_ = next_backup_ + hours(24 * pick(1, 60));  // forgotten
    if (next_backup_ < now_) next_backup_ = now_ + backup_interval_;
  }
  look_after_backups();
}

RetentionInput SimulatedHistory::input() const {
  RetentionInput input;
  input.now = now_;
  input.timelines = timelines_;
  for (const auto& backup : all_) {
    if (!dropped_.contains(backup.id)) input.backups.push_back(backup);
  }
  return input;
}

void SimulatedHistory::apply(const RetentionPlan& plan, const RetentionInput& input) {
  for (const auto& decision : plan.decisions) {
    if (!decision.keep()) dropped_.insert(input.backups[decision.backup].id);
  }
  std::erase_if(wal_, [&](const WalChunk& chunk) {
    return !plan.keeps_wal(chunk.incarnation, chunk.timeline, chunk.number * kChunk,
                           (chunk.number + 1) * kChunk);
  });
}

}  // namespace pitr::test
