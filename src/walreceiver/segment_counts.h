// How many WAL segments came in, by their way and by what became of them. Outlives connections and
// incarnations, so that the numbers never go down. Thread-safe.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <string_view>

#include "repository/wal/wal_archive.h"

namespace pitr {

enum class SegmentWay : std::uint8_t { kStreamed, kArchived };

enum class SegmentOutcome : std::uint8_t {
  kStored,
  kAlreadyThere,
  kRefused,  // other bytes under the name, or not this cluster's WAL
  kDamaged,
  kFailed,  // storage, most likely; it is tried again
};

class SegmentCounts {
 public:
  static constexpr std::array kWays{SegmentWay::kStreamed, SegmentWay::kArchived};
  static constexpr std::array kOutcomes{SegmentOutcome::kStored, SegmentOutcome::kAlreadyThere,
                                        SegmentOutcome::kRefused, SegmentOutcome::kDamaged,
                                        SegmentOutcome::kFailed};

  void add(SegmentWay way, const Result<PutOutcome>& outcome);
  std::uint64_t count(SegmentWay way, SegmentOutcome outcome) const;

 private:
  std::array<std::array<std::atomic<std::uint64_t>, kOutcomes.size()>, kWays.size()> counts_{};
};

SegmentOutcome segment_outcome(const Result<PutOutcome>& outcome);
std::string_view to_string(SegmentWay way);          // "streamed", "archived"
std::string_view to_string(SegmentOutcome outcome);  // "stored", "already_there", …

}  // namespace pitr
