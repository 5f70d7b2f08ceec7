#include "http/address_limiter.h"

#include <arpa/inet.h>

#include <algorithm>
#include <cmath>

namespace pitr::http {

static std::string key_of(std::string_view address) {
  const std::string text(address);
  in6_addr six{};
  if (::inet_pton(AF_INET6, text.c_str(), &six) != 1) return text;
  return std::string(reinterpret_cast<const char*>(six.s6_addr), 8);
}

// Caller holds the lock. Filled up to now.
AddressLimiter::Bucket& AddressLimiter::bucket_of(std::string_view address, SteadyTime now) {
  const auto key = key_of(address);
  const auto found = by_address_.find(key);
  if (found == by_address_.end()) {
    if (buckets_.size() >= most_addresses_) {
      by_address_.erase(buckets_.back().address);
      buckets_.pop_back();
    }
    buckets_.push_front({key, at_once_, now});
    by_address_.emplace(key, buckets_.begin());
    return buckets_.front();
  }
  buckets_.splice(buckets_.begin(), buckets_, found->second);
  auto& bucket = buckets_.front();
  const std::chrono::duration<double> passed = std::max(now - bucket.filled, {});
  bucket.left = std::min(at_once_, bucket.left + passed.count() * per_second_);
  bucket.filled = std::max(now, bucket.filled);
  return bucket;
}

Milliseconds AddressLimiter::wait_for(std::string_view address, SteadyTime now) {
  std::lock_guard lock(mutex_);
  const auto& bucket = bucket_of(address, now);
  if (bucket.left >= 1) return Milliseconds(0);
  return Milliseconds(static_cast<std::int64_t>(std::ceil((1 - bucket.left) / per_second_ * 1e3)));
}

void AddressLimiter::charge(std::string_view address, SteadyTime now) {
  std::lock_guard lock(mutex_);
  auto& bucket = bucket_of(address, now);
  bucket.left = std::max(0.0, bucket.left - 1);
}

std::size_t AddressLimiter::addresses() const {
  std::lock_guard lock(mutex_);
  return buckets_.size();
}

}  // namespace pitr::http
