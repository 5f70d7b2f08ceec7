#include "common/rate_limit.h"

#include <algorithm>

#include "common/retry.h"

namespace pitr {

bool RateLimit::wait_for(std::uint64_t bytes, std::stop_token stop) {
  if (bytes_per_second_ == 0) return !stop.stop_requested();
  const auto cost = std::chrono::nanoseconds(static_cast<std::int64_t>(
      1e9 * static_cast<double>(bytes) / static_cast<double>(bytes_per_second_)));
  SteadyTime mine;
  {
    std::lock_guard lock(mutex_);
    mine = std::max(next_, std::chrono::steady_clock::now());
    next_ = mine + cost;
  }
  const auto delay =
      std::chrono::duration_cast<Milliseconds>(mine - std::chrono::steady_clock::now());
  if (delay.count() <= 0) return !stop.stop_requested();
  return sleep_for(delay, stop);
}

}  // namespace pitr
