// Exponential back-off with jitter, and the loop that uses it. Only transient errors are retried.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <random>
#include <stop_token>

#include "common/clock.h"
#include "common/result.h"

namespace pitr {

struct RetryPolicy {
  Milliseconds first_delay{100};
  Milliseconds longest_delay{30'000};
  int attempts = 5;  // in all, the first one included
};

// The delays between attempts: doubled each time, each between half and the whole. Not thread-safe.
class Backoff {
 public:
  explicit Backoff(RetryPolicy policy, std::uint64_t seed = std::random_device{}())
      : policy_(policy), next_(policy.first_delay), random_(seed) {}

  Milliseconds next_delay();
  void reset() { next_ = policy_.first_delay; }

 private:
  RetryPolicy policy_;
  Milliseconds next_;
  std::mt19937_64 random_;
};

// Sleeps; returns false at once when a stop is asked for.
bool sleep_for(Milliseconds duration, std::stop_token stop);

template <typename Function>
auto retry(const RetryPolicy& policy, std::stop_token stop, Function&& attempt)
    -> decltype(attempt()) {
  Backoff backoff(policy);
  for (int i = 1;; ++i) {
    auto result = attempt();
    if (result.has_value() || result.error().kind() != ErrorKind::kTransient ||
        i >= policy.attempts) {
      return result;
    }
    if (!sleep_for(backoff.next_delay(), stop)) return result;
  }
}

}  // namespace pitr
