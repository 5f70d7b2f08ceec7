// Keeps several readers together below a number of bytes a second. Thread-safe.
#pragma once

#include <cstdint>
#include <mutex>
#include <stop_token>

#include "common/clock.h"

namespace pitr {

class RateLimit {
 public:
  // 0: unlimited.
  explicit RateLimit(std::uint64_t bytes_per_second) : bytes_per_second_(bytes_per_second) {}

  // Waits until these bytes may be read. False: a stop was asked for.
  bool wait_for(std::uint64_t bytes, std::stop_token stop);

 private:
  const std::uint64_t bytes_per_second_;
  std::mutex mutex_;
  SteadyTime next_{};
};

}  // namespace pitr
