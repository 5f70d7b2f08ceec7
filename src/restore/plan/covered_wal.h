// The WAL that a plan is made on: continuous from a backup's redo, along one timeline history.
// Facts say which segments can hold what is looked for; only these are read and decoded.
//
// A record belongs to the segment in which it ends. Positions before the start are not looked at.
// Borrows the archive. Not thread-safe.
#pragma once

#include <functional>
#include <map>
#include <optional>

#include "postgres/wal/xact_scan.h"
#include "repository/wal/wal_coverage.h"

namespace pitr {

class CoveredWal {
 public:
  static Result<CoveredWal> open(const WalArchive& archive, const FactsStore& facts,
                                 const TimelineHistory& history, Lsn from,
                                 EnoughWal is_enough = goes_on_to_the_end);
  static bool goes_on_to_the_end(const WalCoverage&) { return false; }

  TimelineId timeline() const { return history_.timeline(); }
  Lsn start() const { return from_; }
  Lsn end() const { return coverage_.end; }
  Lsn last_record() const { return coverage_.last_record; }
  const std::string& ended_by() const { return coverage_.ended_by; }
  // What ends it, where that is a damaged object; what half a frame at its end is.
  const std::optional<Error>& damage() const { return coverage_.damage; }
  const std::optional<TornEnd>& torn() const { return coverage_.torn; }
  // It ends because no more was asked for.
  bool is_bounded() const { return coverage_.ended_by.empty(); }
  // WAL is stored, or known to exist, behind the end.
  bool has_gap() const;
  const std::vector<CoveredSegment>& segments() const { return coverage_.segments; }

  struct RecordPlace {
    Lsn start;
    Lsn end;
    // Where the server's WAL ends when this is the last record that it replays: behind it, and
    // after a switch the segment's end (XLogDecodeNextRecord in xlogreader.c).
    Lsn replayed_end;
  };
  // The first record that starts at or after lsn.
  Result<std::optional<RecordPlace>> record_from(Lsn lsn);
  // The last record that starts before lsn.
  Result<std::optional<RecordPlace>> record_before(Lsn lsn);

  // nullptr: a segment without facts, which is always looked at.
  using SegmentFilter = std::function<bool(const wal::SegmentFacts&)>;
  using XactFilter = std::function<bool(const wal::XactEnd&)>;
  // The first end of a transaction with start in [from, to) that matches.
  Result<std::optional<wal::XactEnd>> first_xact(Lsn from, std::optional<Lsn> to,
                                                 const SegmentFilter& may_match,
                                                 const XactFilter& matches);
  // The last commit that starts before lsn.
  Result<std::optional<wal::XactEnd>> last_commit_before(Lsn lsn);
  // name: nullopt for all.
  Result<std::vector<wal::RestorePoint>> restore_points(const std::optional<std::string>& name,
                                                        Lsn from);
  // Visits every end of a transaction with start >= from, in segments that may match; at most
  // most_segments are decoded, and false says that more would have been.
  Result<bool> visit_xacts(Lsn from, const SegmentFilter& may_match, std::size_t most_segments,
                           const std::function<void(const wal::XactEnd&)>& visit);

  // Whether nothing is missing up to lsn, which may lie inside a record that is not complete yet.
  Result<bool> reaches(Lsn lsn);

 private:
  CoveredWal(const WalArchive& archive, TimelineHistory history, Lsn from, WalCoverage coverage)
      : archive_(&archive),
        history_(std::move(history)),
        from_(from),
        coverage_(std::move(coverage)) {}

  RecordPlace place_of(const wal::Record& record) const;
  std::size_t index_of(Lsn lsn) const;  // of the segment that holds it, or the number of segments
  Result<wal::ValidEnd> scan(std::size_t index, wal::ScanSink sink);
  Result<Bytes> read(std::uint64_t number);

  const WalArchive* archive_;
  TimelineHistory history_;
  Lsn from_;
  WalCoverage coverage_;
  std::map<std::uint64_t, Bytes> cache_;  // the last two segments read
};

}  // namespace pitr
