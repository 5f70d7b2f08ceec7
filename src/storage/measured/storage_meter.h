// What requests to a storage cost, and how they ended. Filled by MeasuredStorage, read by metrics.
// Thread-safe.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <string_view>

#include "common/error.h"
#include "common/latency_histogram.h"

namespace pitr {

enum class StorageRequest : std::uint8_t {
  kPut,
  kUpload,  // each step of a streamed one
  kAppend,
  kGet,
  kStat,
  kSync,
  kList,
  kRemove,
};
std::string_view to_string(StorageRequest request);  // "put", "upload", …

class StorageMeter {
 public:
  static constexpr std::array kRequests{StorageRequest::kPut,    StorageRequest::kUpload,
                                        StorageRequest::kAppend, StorageRequest::kGet,
                                        StorageRequest::kStat,   StorageRequest::kSync,
                                        StorageRequest::kList,   StorageRequest::kRemove};
  struct Counts {
    std::atomic<std::uint64_t> succeeded = 0;
    std::atomic<std::uint64_t> failed = 0;
    LatencyHistogram latency;
  };

  const Counts& of(StorageRequest request) const {
    return counts_[static_cast<std::size_t>(request)];
  }
  std::uint64_t in_progress() const { return in_progress_; }

  void begin() { ++in_progress_; }
  // error: null for success. That an object isn't there, or is there already, is an answer.
  void end(StorageRequest request, Microseconds took, const Error* error);

 private:
  std::array<Counts, kRequests.size()> counts_;
  std::atomic<std::uint64_t> in_progress_ = 0;
};

}  // namespace pitr
