// Counts how long something took, in fixed buckets. Thread-safe without locks; a snapshot may miss
// what is counted at that moment, and never goes down.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "common/clock.h"

namespace pitr {

class LatencyHistogram {
 public:
  // Upper bounds in microseconds; one more bucket holds what took longer.
  static constexpr std::array<std::int64_t, 13> kBoundsUs{
      500,     1'000,   2'500,     5'000,     10'000,     25'000,    50'000,
      100'000, 250'000, 1'000'000, 5'000'000, 10'000'000, 60'000'000};

  struct Snapshot {
    std::array<std::uint64_t, kBoundsUs.size() + 1> counts{};  // of each bucket alone
    std::int64_t sum_us = 0;
  };

  void add(Microseconds took) {
    std::size_t bucket = 0;
    while (bucket < kBoundsUs.size() && took.count() > kBoundsUs[bucket]) ++bucket;
    counts_[bucket].fetch_add(1, std::memory_order_relaxed);
    sum_us_.fetch_add(took.count(), std::memory_order_relaxed);
  }

  Snapshot snapshot() const {
    Snapshot snapshot;
    for (std::size_t i = 0; i < counts_.size(); ++i) {
      snapshot.counts[i] = counts_[i].load(std::memory_order_relaxed);
    }
    snapshot.sum_us = sum_us_.load(std::memory_order_relaxed);
    return snapshot;
  }

 private:
  std::array<std::atomic<std::uint64_t>, kBoundsUs.size() + 1> counts_{};
  std::atomic<std::int64_t> sum_us_ = 0;
};

// Measures from its making on.
class Stopwatch {
 public:
  Microseconds elapsed() const {
    return std::chrono::duration_cast<Microseconds>(std::chrono::steady_clock::now() - begin_);
  }

 private:
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

}  // namespace pitr
