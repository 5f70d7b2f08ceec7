// Segment facts and watermarks of one incarnation. Facts are written once per complete segment
// (again, with the same or a better answer, when an unresolved head becomes resolved), and rolled
// up per 4 GiB log once all of a log's are there. Objects: docs/repository-format.md, "Facts".
//
// Facts can be computed again from the segments, so a lost race costs work, never truth. Success
// means durable. Thread-safe.
#pragma once

#include <optional>
#include <vector>

#include "postgres/wal/segment_facts.h"
#include "repository/repository.h"

namespace pitr {

// "Nothing is missing up to lsn, and at server time `time` the server had nothing beyond it":
// from a keepalive whose end LSN was durable here.
struct Watermark {
  TimelineId timeline;
  Lsn lsn;
  Timestamp time;
};

class FactsStore {
 public:
  explicit FactsStore(IncarnationStore store) : store_(std::move(store)) {}

  // Keeps what is stored already where that says more: a resolved head, a checked link, changed
  // blocks.
  Result<void> put(const wal::SegmentFacts& facts);
  // For facts that get() found: a write that failed may have left them visible and no more.
  // kNotFound: they are gone.
  Result<void> ensure_durable(SegmentId segment);
  // Stores these facts whatever is there, damaged facts too. False: the same are there already.
  Result<bool> replace(const wal::SegmentFacts& facts);
  Result<std::optional<wal::SegmentFacts>> get(SegmentId segment) const;
  // All facts of the timeline with segment number in [from, to], ascending; absent ones are left
  // out. Reads roll-ups where they exist. Changed blocks are most of the bytes: only where asked
  // for.
  Result<std::vector<wal::SegmentFacts>> range(TimelineId timeline, std::uint64_t from,
                                               std::uint64_t to,
                                               wal::WithChanges with = wal::WithChanges::kNo) const;
  // Rolls up one log (4 GiB of WAL) once facts are there from the first segment known up to the
  // log's last; the single objects are removed afterwards. False: not all are there yet.
  Result<bool> roll_up(TimelineId timeline, std::uint64_t log);

  // Writes the new watermark, then removes the older ones of that timeline.
  Result<void> put_watermark(const Watermark& watermark);
  // The one with the highest LSN.
  Result<std::optional<Watermark>> watermark(TimelineId timeline) const;

 private:
  IncarnationStore store_;
};

}  // namespace pitr
