// Stores complete segments on a thread of its own, behind the acknowledgement: their bytes are
// durable as tails already. At most kMaxPending segments wait, then submit() blocks, which in the
// end makes the server keep the WAL.
//
// The first failure ends it: submit() and drain() return it from then on. What was not stored is
// still there as tails and is stored by SegmentIngest::seal_complete_tails() after a restart.
#pragma once

#include <atomic>
#include <optional>
#include <thread>

#include "common/bounded_queue.h"
#include "walreceiver/segment_ingest.h"

namespace pitr {

struct SealRequest {
  SegmentId segment;
  Bytes bytes;
  std::optional<wal::Carry> carry;
};

class SegmentSealer {
 public:
  static constexpr std::size_t kMaxPending = 2;

  explicit SegmentSealer(SegmentIngest& ingest);
  ~SegmentSealer();

  Result<void> submit(SealRequest request);
  // Waits until everything submitted is stored.
  Result<void> drain();
  std::uint64_t segments_stored() const { return segments_stored_; }

 private:
  void run();
  Result<void> seal(SealRequest& request);

  SegmentIngest& ingest_;
  BoundedQueue<SealRequest> queue_{kMaxPending};
  std::atomic<std::uint64_t> segments_stored_ = 0;
  std::atomic<std::uint64_t> segments_submitted_ = 0;
  std::mutex mutex_;
  std::condition_variable idle_;
  std::optional<Error> failure_;
  std::jthread thread_;  // last: it uses all of the above
};

}  // namespace pitr
