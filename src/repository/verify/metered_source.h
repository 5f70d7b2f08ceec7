// Counts what verification reads, holds it below a rate and ends it when it is stopped.
// Thread-safe.
#pragma once

#include <atomic>
#include <stop_token>

#include "codec/container.h"
#include "common/observer.h"
#include "common/rate_limit.h"

namespace pitr {

class ReadMeter {
 public:
  ReadMeter(std::uint64_t bytes_per_second, Observer& observer, std::stop_token stop)
      : limit_(bytes_per_second), observer_(observer), stop_(std::move(stop)) {}

  // Before the bytes are read. kCancelled after a stop.
  Result<void> take(std::uint64_t bytes) {
    if (!limit_.wait_for(bytes, stop_)) return Error::cancelled("verification was stopped");
    bytes_ += bytes;
    observer_.advance(bytes);
    return {};
  }
  std::uint64_t bytes() const { return bytes_; }
  bool is_stopped() const { return stop_.stop_requested(); }
  Observer& observer() { return observer_; }

 private:
  RateLimit limit_;
  Observer& observer_;
  const std::stop_token stop_;
  std::atomic<std::uint64_t> bytes_ = 0;
};

// The source must outlive it.
class MeteredSource final : public ByteSource {
 public:
  MeteredSource(const ByteSource& source, ReadMeter& meter) : source_(source), meter_(meter) {}
  Result<std::uint64_t> size() const override { return source_.size(); }
  Result<void> read_at(std::uint64_t offset, MutableByteView into) const override {
    TRY(meter_.take(into.size()));
    return source_.read_at(offset, into);
  }

 private:
  const ByteSource& source_;
  ReadMeter& meter_;
};

}  // namespace pitr
