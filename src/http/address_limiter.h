// So many a second for each client address, and some at once. Of IPv6 the first 64 bits count,
// which one client can have to himself. Bounded: of more addresses than it keeps, those that came
// least lately are forgotten. Thread-safe.
#pragma once

#include <list>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>

#include "common/clock.h"

namespace pitr::http {

class AddressLimiter {
 public:
  AddressLimiter(double per_second, double at_once, std::size_t most_addresses = 4096)
      : per_second_(per_second), at_once_(at_once), most_addresses_(most_addresses) {}

  // Zero: one more is allowed now; else how long until it is. Takes nothing.
  Milliseconds wait_for(std::string_view address, SteadyTime now);
  void charge(std::string_view address, SteadyTime now);
  std::size_t addresses() const;

 private:
  struct Bucket {
    std::string address;
    double left = 0;
    SteadyTime filled;
  };
  Bucket& bucket_of(std::string_view address, SteadyTime now);

  const double per_second_;
  const double at_once_;
  const std::size_t most_addresses_;
  mutable std::mutex mutex_;
  std::list<Bucket> buckets_;  // guarded, as is the next; who came last is the first
  std::unordered_map<std::string, std::list<Bucket>::iterator> by_address_;
};

}  // namespace pitr::http
