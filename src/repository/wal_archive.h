// The WAL of one incarnation: complete segments, the streamed tails of the segment that is not
// complete yet, and the .history, .partial and .backup files that PostgreSQL hands over.
//
// Idempotent by content: storing the same name with the same plain bytes again is success (the
// XXH3-128 in the sealed footer is compared, always, never the name alone: a clone of a cluster
// produces the same names). Other bytes under the same name are refused with kConflict and kept
// aside as <segment>.conflict-<digest>.
//
// Durability: success means that the bytes survive power loss of the store. Thread-safe, apart from
// TailWriter, which belongs to one thread.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "codec/compression.h"
#include "repository/repository.h"

namespace pitr {

enum class PutOutcome { kStored, kAlreadyThere };

// The bytes [0, size) of a segment that are durable so far.
struct PartialSegment {
  SegmentId segment;
  Bytes bytes;
};

class TailWriter;

class WalArchive {
 public:
  struct Options {
    Compression compression = Compression::kLz4;
    int level = 0;  // 0: the compression's default
  };
  explicit WalArchive(IncarnationStore store) : WalArchive(std::move(store), Options()) {}
  WalArchive(IncarnationStore store, Options options);

  const IncarnationStore& store() const { return store_; }
  SegmentSize segment_size() const { return store_.segment_size(); }

  // bytes.size() must be the segment size.
  Result<PutOutcome> put_segment(SegmentId segment, ByteView bytes);
  // kNotFound where no complete segment of that name is stored (tails don't count).
  Result<Bytes> read_segment(SegmentId segment) const;
  Result<bool> has_segment(SegmentId segment) const;

  // What is durable of a segment: the complete one, or else its tails chained by name from offset
  // 0 on (tail-0, then tail-<its length>, ...; a torn end is cut off). Empty bytes: nothing.
  Result<PartialSegment> read_available(SegmentId segment) const;

  // Starts a tail at offset: the next bytes go there. Where the store can append, one object
  // grows; otherwise each append() is an object. Where a tail of that name exists already (a torn
  // one, or one of the same bytes), its valid bytes must be re-appended by the caller, so the name
  // is replaced: remove_tails() first.
  Result<std::unique_ptr<TailWriter>> start_tail(SegmentId segment, std::uint32_t offset);
  // After the complete segment is stored, or to start again.
  Result<void> remove_tails(SegmentId segment);

  // .history, .partial, .backup: compared by content as segments are. The last two are never
  // served to a server.
  Result<PutOutcome> put_file(std::string_view name, ByteView bytes);
  Result<Bytes> read_history(TimelineId timeline) const;  // kNotFound where there is none
  // Timelines with a history file or a segment, ascending. Lists; not for hot paths.
  Result<std::vector<TimelineId>> timelines() const;
  // Complete segments of a timeline with number in [from, to], ascending. Lists per 4 GiB log.
  Result<std::vector<SegmentId>> list_segments(TimelineId timeline, std::uint64_t from,
                                               std::uint64_t to) const;
  // The last segment of the timeline for which anything is stored: complete or tail.
  Result<std::optional<SegmentId>> newest_segment(TimelineId timeline) const;

 private:
  IncarnationStore store_;
  Options options_;
};

class TailWriter {
 public:
  virtual ~TailWriter() = default;
  // Durable on return. After an error the writer is dead: start a new tail at the last offset that
  // was acknowledged... which needs a fresh name, or read_available() and start again.
  virtual Result<void> append(ByteView bytes) = 0;
  virtual std::uint32_t end_offset() const = 0;  // in the segment, behind the last durable byte
};

}  // namespace pitr
