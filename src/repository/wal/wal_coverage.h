// Whether the repository holds WAL without a hole from one position to another, along one timeline
// history. Base backups wait for it before they are published; restores are planned on it.
//
// Complete segments count by their facts where these say that the segment continues the one before;
// everything else is decoded. Thread-safe; reads only.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "postgres/timeline_history.h"
#include "postgres/wal/segment_facts.h"
#include "repository/wal/facts_store.h"
#include "repository/wal/wal_archive.h"

namespace pitr {

struct CoveredSegment {
  SegmentId segment;                       // the timeline whose file is used
  bool is_complete = false;                // stored as one object; else tails
  std::optional<wal::SegmentFacts> facts;  // complete ones only
};

struct WalCoverage {
  // Ascending, without a hole. The last one may lack its end; only the newest ones are tails.
  std::vector<CoveredSegment> segments;
  // Continuous up to here: behind the last whole record.
  Lsn end;
  Lsn last_record;  // its start; 0: none
  // Why it ends there, for messages: "segment 0000... is missing". Empty where it is enough.
  std::string ended_by;
  // True where WAL stored behind the end shows that something is missing in the middle.
  bool has_gap = false;
  // It ends there because this object is damaged; has_gap is true then.
  std::optional<Error> damage;
  // Half a frame behind the last tail's whole ones: see TornEnd.
  std::optional<TornEnd> torn;
};

// Whether what is covered so far will do; asked after each segment.
using EnoughWal = std::function<bool(const WalCoverage&)>;

// From `from` (a record's start) as far as it goes, or until `until` at least. The segment's file
// of the newest timeline in the history is preferred, as the server does (XLogFileReadAnyTLI).
// Errors: storage trouble, and keys. Missing or damaged WAL is not one here: the coverage ends
// before it. Damaged facts cost time only, they are made again from the segments.
Result<WalCoverage> wal_coverage(const WalArchive& archive, const FactsStore& facts,
                                 const TimelineHistory& history, Lsn from,
                                 std::optional<Lsn> until = std::nullopt);
Result<WalCoverage> wal_coverage(const WalArchive& archive, const FactsStore& facts,
                                 const TimelineHistory& history, Lsn from, EnoughWal is_enough);

// The history of a timeline, from the repository. kNotFound where its history file isn't there.
Result<TimelineHistory> stored_history(const WalArchive& archive, TimelineId timeline);

}  // namespace pitr
