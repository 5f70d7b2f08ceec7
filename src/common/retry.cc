#include "common/retry.h"

#include <algorithm>

namespace pitr {

Milliseconds Backoff::next_delay() {
  const auto whole = next_.count();
  next_ = std::min(next_ * 2, policy_.longest_delay);
  return Milliseconds(std::uniform_int_distribution<std::int64_t>(whole / 2, whole)(random_));
}

bool sleep_for(Milliseconds duration, std::stop_token stop) {
  std::mutex mutex;
  std::condition_variable_any never;
  std::unique_lock lock(mutex);
  never.wait_for(lock, stop, duration, [] { return false; });
  return !stop.stop_requested();
}

}  // namespace pitr
