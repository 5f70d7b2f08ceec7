// Takes one timeline's WAL as it arrives and makes it durable in the repository.
//
// Every byte is checked on its way: against the records it belongs to (page address, prev-link,
// CRC, timeline), and against what is stored of it already. Bytes are durable after
// make_durable(), as tails of their segment; complete segments are stored as one object by the
// sealer, behind the acknowledgement, so that a commit never waits for it.
//
// Errors: kConflict where stored bytes differ (another server under the same name), kCorrupt where
// the WAL itself is damaged; nothing of the call that failed counts as durable. After an error the
// writer is of no further use. One thread at a time. Memory: up to two segments, and those that
// wait in the sealer.
#pragma once

#include <memory>

#include "walreceiver/segment_sealer.h"

namespace pitr {

class StreamWriter {
 public:
  // start: a segment's start. The timeline's history must be stored already.
  static Result<std::unique_ptr<StreamWriter>> open(SegmentIngest& ingest, SegmentSealer& sealer,
                                                    TimelineId timeline, Lsn start);

  // The bytes at received(): streaming has no holes.
  Result<void> write(ByteView bytes);
  Result<void> make_durable();

  Lsn received() const { return segment_start() + buffer_.size(); }
  Lsn durable() const { return segment_start() + durable_size_; }

 private:
  StreamWriter(SegmentIngest& ingest, SegmentSealer& sealer, SegmentId first)
      : ingest_(ingest), sealer_(sealer), segment_(first) {}
  Result<void> start_decoder();
  Result<void> begin_segment();
  Result<void> finish_segment();
  Result<void> write_within_segment(ByteView bytes);
  Result<void> compare_with_stored(ByteView bytes) const;

  WalArchive& archive() const { return ingest_.archive(); }
  Lsn segment_start() const { return archive().segment_size().start_of(segment_.number); }

  SegmentIngest& ingest_;
  SegmentSealer& sealer_;
  std::optional<wal::WalDecoder> decoder_;
  SegmentId segment_;
  std::optional<wal::Carry> carry_;  // into the segment
  Bytes buffer_;                     // of the segment, as received
  std::size_t durable_size_ = 0;     // of buffer_
  Bytes stored_;                     // what the repository held of the segment before
  std::unique_ptr<TailWriter> tail_;
};

}  // namespace pitr
