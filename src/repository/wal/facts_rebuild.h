// Derives segment facts again from the stored segments, for facts that are missing, damaged, of an
// older version or wrong. Replaces what differs and rolls logs up; the WAL itself is only read.
//
// Each segment's facts are durable before the next one is read: interrupted, it can be run again.
// A segment whose WAL is damaged is told and passed over. Not thread-safe; may run while others
// store segments.
#pragma once

#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "common/observer.h"
#include "repository/wal/facts_store.h"
#include "repository/wal/wal_archive.h"

namespace pitr {

struct FactsRebuildRange {
  std::optional<TimelineId> timeline;  // default: all
  Lsn from;                            // default: the first segment
  std::optional<Lsn> to;               // default: the last one
};

struct FactsRebuildReport {
  std::uint64_t segments = 0;
  std::uint64_t wal_bytes = 0;
  std::uint64_t added = 0;     // there were none, or none that can be read
  std::uint64_t replaced = 0;  // others were there
  std::uint64_t unchanged = 0;
  // Still without what began in the segment before, which isn't stored.
  std::uint64_t unresolved = 0;
  std::uint64_t logs_rolled_up = 0;
  struct Failure {
    SegmentId segment;
    std::string reason;
  };
  std::vector<Failure> failures;  // segments whose WAL cannot be read
};

// kCancelled after a stop; errors other than kCorrupt of one segment end it.
Result<FactsRebuildReport> rebuild_facts(const WalArchive& archive, FactsStore& facts,
                                         const FactsRebuildRange& range, Observer& observer,
                                         std::stop_token stop);

}  // namespace pitr
