// Which frames of which packs are to be emptied: the arithmetic of BlockMover, without any I/O.
// Plain values; not thread-safe.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace pitr {

// A restore reads at most so much of what it writes; beyond kReadAlways without regard to budget.
inline constexpr double kReadWanted = 1.25;
inline constexpr double kReadAlways = 1.4;

struct PackLife {
  std::uint64_t plain_bytes = 0;
  std::uint64_t live_bytes = 0;
  bool leave = false;  // nothing stays in it
  bool is_half_dead() const { return live_bytes > 0 && 2 * live_bytes < plain_bytes; }
};

// The packs whose frames have to be looked at, deadest first, those to be left before all others.
std::vector<std::uint32_t> packs_to_look_at(std::span<const PackLife> packs,
                                            std::uint64_t total_bytes, std::uint64_t budget_bytes);

class MovePlan {
 public:
  // total_bytes: of the backup's files.
  MovePlan(std::vector<PackLife> packs, std::uint64_t total_bytes, std::uint64_t budget_bytes);

  // The frames of a pack: where each starts, and where the last one ends.
  void look_at(std::uint32_t pack, std::vector<std::uint64_t> frame_offsets);
  // Bytes of a pack that the backup has, once all packs are there.
  void count(std::uint32_t pack, std::uint64_t offset, std::uint64_t size_bytes);
  // After everything was counted.
  void choose();

  // The first part of these bytes: in frames that are to be emptied, or in frames that aren't.
  struct Part {
    std::uint64_t size_bytes;
    bool moves;
  };
  Part first_part(std::uint32_t pack, std::uint64_t offset, std::uint64_t size_bytes) const;

  std::uint64_t moved_bytes() const { return moved_bytes_; }
  // That a restore reads of these packs afterwards.
  std::uint64_t read_bytes() const { return read_bytes_; }

 private:
  struct Frames {
    std::vector<std::uint64_t> offsets;
    std::vector<std::uint32_t> live;
    std::vector<bool> moves;
    std::uint64_t size(std::size_t frame) const { return offsets[frame + 1] - offsets[frame]; }
    std::size_t at(std::uint64_t offset) const;
  };
  struct Frame {
    std::uint32_t pack;
    std::uint32_t number;
  };
  void move(const Frame& frame);
  void choose_of(std::uint32_t pack);
  bool reads_more_than(double factor) const;

  std::vector<PackLife> packs_;
  std::vector<std::optional<Frames>> frames_;  // by pack
  std::vector<std::uint32_t> looked_at_;       // in the order of look_at()
  const std::uint64_t total_bytes_;
  const std::uint64_t budget_bytes_;
  std::uint64_t moved_bytes_ = 0;
  std::uint64_t read_bytes_ = 0;
};

}  // namespace pitr
