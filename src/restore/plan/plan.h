// The plan of a restore: which backup, which WAL, and exactly where recovery ends. Made from what
// is stored before anything is touched; facts find the candidate segments and only these are
// decoded.
//
// The guarantee: PostgreSQL gets one exact LSN on an explicit timeline, every segment up to it is
// stored without a hole, and the state there is the one that was asked for. What cannot be
// guaranteed is refused: kInvalid where something else is possible (the hint says what), kTransient
// where all that lacks is word that a time of just now is complete (the agent brings it), kNotFound
// for backups, timelines and restore points that aren't there, kCorrupt for damage. Where another
// stored timeline reaches what this one doesn't, the hint names it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "postgres/timeline_history.h"
#include "postgres/wal/record.h"
#include "repository/backup/backup_manifest.h"
#include "repository/wal/facts_store.h"
#include "repository/wal/wal_archive.h"
#include "restore/plan/target.h"

namespace pitr {

struct PlanRequest {
  RestoreTarget target;
  // Not given: the newest timeline stored; for "immediate", the backup's own.
  std::optional<TimelineId> timeline;
  std::optional<BackupId> backup;  // not given: the newest one that can reach the target
  std::string zone = {};           // in which times are said; empty: UTC
};

// A timeline that could have been chosen.
struct StoredTimeline {
  TimelineId timeline;
  std::optional<TimelineId> parent;
  Lsn begin;                             // where it left its parent; 0 for the first
  std::optional<Timestamp> newest_xact;  // its latest commit or abort, in the last segment too
  // The first transaction that it has of its own and that whoever asked for the target may mean.
  std::optional<wal::XactEnd> left_behind = {};
};

// Segments [first, last] come from this timeline's files.
struct SegmentRun {
  TimelineId timeline;
  std::uint64_t first = 0;
  std::uint64_t last = 0;
  friend bool operator==(const SegmentRun&, const SegmentRun&) = default;
};

// Commits behind the end whose times are not later than the target: clocks and concurrency do that.
struct CutOffCommits {
  std::uint64_t count = 0;
  bool is_lower_bound = false;        // not all WAL behind the end was looked at
  std::vector<wal::XactEnd> commits;  // the first kListed
  Microseconds largest_skew{0};       // how far the clock went back before one of them
  static constexpr std::size_t kListed = 10;
};

struct RestorePlan {
  RestoreTarget target;
  BackupManifest backup;
  TimelineHistory history;  // of the timeline that recovery follows
  bool timeline_was_given = false;
  std::vector<StoredTimeline> timelines = {};  // all that are stored

  Lsn wal_start = {};          // the backup's redo
  Lsn target_lsn = {};         // recovery_target_lsn: the start of a record
  bool inclusive = true;       // recovery_target_inclusive
  Lsn target_record_end = {};  // what the server must be able to read
  Lsn end = {};  // behind the last record that is replayed: what the server must report
  std::vector<SegmentRun> segments = {};
  SegmentSize segment_size = {};

  std::optional<wal::XactEnd> last_kept = {};  // the last commit that is kept; none since wal_start
  std::optional<wal::XactEnd> first_dropped = {};  // the commit or abort that comes next, if stored
  // Where none is known but WAL behind a hole, or behind damage, is: the hole's begin.
  std::optional<Lsn> hole = {};
  CutOffCommits cut_off = {};
  std::vector<std::string> notes = {};
  std::vector<std::string> warnings = {};

  TimelineId timeline() const { return history.timeline(); }
  std::uint64_t wal_bytes() const { return target_record_end - wal_start; }
  std::uint64_t segment_count() const;
};

struct PlanSources {
  const WalArchive& archive;
  const FactsStore& facts;
  std::vector<BackupManifest> backups;  // published ones of this incarnation
  const Clock& clock = SystemClock::shared();
};

Result<RestorePlan> make_plan(const PlanSources& sources, const PlanRequest& request);

}  // namespace pitr
