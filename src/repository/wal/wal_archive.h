// The WAL of one incarnation: complete segments, the streamed tails of the segment that is not
// complete yet, and the .history, .partial and .backup files that PostgreSQL hands over.
// Objects and names: docs/repository-format.md, "WAL".
//
// Idempotent by content: storing the same name with the same plain bytes again is success (size and
// XXH3-128 in the sealed footer are compared, always, never the name alone: a clone of a cluster
// produces the same names), provided that what is stored is whole: its frames are read and hashed
// before anybody is told that his bytes are there. Other bytes under the same name are refused with
// kConflict and kept aside as <name>.conflict-<digest>. Of two writers that race for one name, one
// stores its bytes and the other compares with them. Where something stands under the name that is
// damaged or cannot be read, nothing is replaced: kCorrupt (or kDenied), and an operator decides.
//
// Durability: success, kAlreadyThere included, means that the bytes survive power loss of the
// store. What the reading functions return may be younger than that: see adopt_available().
//
// Thread-safe, apart from TailWriter, which belongs to one thread. The Storage must outlive both.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "codec/compression.h"
#include "repository/repository.h"
#include "repository/wal/tail_chain.h"

namespace pitr {

// kKeptAside: durable under another name, as another file has the one asked for.
enum class PutOutcome { kStored, kAlreadyThere, kKeptAside };

// The bytes [0, size) of a segment that are stored so far.
struct PartialSegment {
  SegmentId segment;
  Bytes bytes;
  std::optional<TornEnd> torn;  // stored behind them and not readable, as after a crash
  std::optional<Error> damage;  // of what is stored behind them; read_up_to_damage() only
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

  // bytes.size() must be the segment size. Needs about as much memory again as the segment takes
  // when it's stored: the object is written by one request, so that nothing can be overwritten.
  Result<PutOutcome> put_segment(SegmentId segment, ByteView bytes);
  // kNotFound where no complete segment of that name is stored (tails don't count).
  Result<Bytes> read_segment(SegmentId segment) const;
  Result<bool> has_segment(SegmentId segment) const;

  // What is there of a segment: the complete one, or else its tails put together; a torn end is cut
  // off. Empty bytes: nothing. kCorrupt: stored bytes are damaged or missing before others that are
  // there. kConflict: tails of different servers.
  Result<PartialSegment> read_available(SegmentId segment) const;
  // The same, but damaged tails give the bytes before the damage: for readers who need no more.
  Result<PartialSegment> read_up_to_damage(SegmentId segment) const;
  // The same, made durable first: whoever continues after these bytes, or acknowledges them, must
  // have got them from here. (A writer that was killed leaves bytes that can be read and that power
  // loss still takes away.)
  Result<PartialSegment> adopt_available(SegmentId segment);

  // Starts a tail at offset: the next bytes go there. To continue a segment after a restart, offset
  // is the size of what adopt_available() returned, and the caller compares what it receives again
  // with these bytes. Where the store can append, one object grows; otherwise each append() is an
  // object. No two writers share an object, so writers that overlap do no harm.
  Result<std::unique_ptr<TailWriter>> start_tail(SegmentId segment, std::uint32_t offset);
  // After the complete segment is stored, or to receive it again from its start.
  Result<void> remove_tails(SegmentId segment);

  // .history, .partial, .backup: compared by content as segments are. The last two are never
  // served to a server. A second .partial of a name is no conflict: two promotions from one point
  // make two, and archiving would stop for good if one were refused. It is kept aside.
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
  Result<PutOutcome> put_compared(ContainerKind kind, const ObjectKey& key, ByteView bytes);
  Result<Bytes> chain_tails(SegmentId segment) const;

  IncarnationStore store_;
  Options options_;
};

class TailWriter {
 public:
  virtual ~TailWriter() = default;
  // Durable on return. After an error the writer is dead, and nothing is known about the bytes of
  // this call: continue with adopt_available() and a new tail.
  virtual Result<void> append(ByteView bytes) = 0;
  virtual std::uint32_t end_offset() const = 0;  // in the segment, behind the last durable byte
};

}  // namespace pitr
