#include "walreceiver/segment_sealer.h"

namespace pitr {

SegmentSealer::SegmentSealer(SegmentIngest& ingest) : ingest_(ingest), thread_([this] { run(); }) {}

SegmentSealer::~SegmentSealer() {
  queue_.close();
}

Result<void> SegmentSealer::submit(SealRequest request) {
  ++segments_submitted_;
  return queue_.push(std::move(request));
}

Result<void> SegmentSealer::drain() {
  std::unique_lock lock(mutex_);
  idle_.wait(lock, [&] { return failure_ || segments_stored_ == segments_submitted_; });
  if (failure_) return *failure_;
  return {};
}

Result<void> SegmentSealer::seal(SealRequest& request) {
  TRY(ingest_.put_streamed(request.segment, request.bytes, std::move(request.carry)));
  return ingest_.archive().remove_tails(request.segment);
}

void SegmentSealer::run() {
  while (true) {
    auto request = queue_.pop();
    if (!request || !*request) return;
    auto sealed = seal(**request);
    std::lock_guard lock(mutex_);
    if (sealed) {
      ++segments_stored_;
    } else {
      queue_.abort(sealed.error());
      failure_ = std::move(sealed).error();
    }
    idle_.notify_all();
  }
}

}  // namespace pitr
