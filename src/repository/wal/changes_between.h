// Which blocks changed between two positions of a cluster's history: the facts of all segments in
// between, merged. For backups (from the parent's start redo to this one's) and in-place restores
// (from the backup's start redo to the end of the cluster's WAL).
//
// Covered means proven: facts are there for every segment, each continues the one before it, and
// nothing in them forbids to rely on them. Anything else is told in words and is no error: the
// caller reads everything instead. Whole segments count, so records a little before `from` and
// behind `to` do too. Reads only; thread-safe.
#pragma once

#include <optional>
#include <string>

#include "postgres/timeline_history.h"
#include "postgres/wal/changed_blocks.h"
#include "repository/wal/facts_store.h"
#include "repository/wal/wal_archive.h"

namespace pitr {

struct ChangesInRange {
  wal::ChangedBlocks blocks;  // of no use unless covered
  // Why the changes are not known, for people; empty: they are. `blocks` has no distrust then.
  std::string not_covered;
  // True where the only thing missing is WAL before `to` that the receiver may still bring: asking
  // again in a moment may help.
  bool may_come = false;
  // The first record in the range that turns wal_log_hints off. Hint bits were logged throughout
  // where pg_control said wal_log_hints = on at `from` and this is empty, or where data checksums
  // were on all the time (which WAL does not tell: pg_control at both ends does).
  std::optional<Lsn> wal_log_hints_off;

  bool is_covered() const { return not_covered.empty(); }
};

// from and to: starts of records (redo pointers), or the end of the WAL; on `history`, which is
// that of the timeline on which `to` lies. Segments whose facts aren't there yet, the one that is
// being streamed among them, are decoded, as long as they are few and at the end. Errors: damaged
// objects (kCorrupt) and storage trouble.
Result<ChangesInRange> changes_between(const WalArchive& archive, const FactsStore& facts,
                                       const TimelineHistory& history, Lsn from, Lsn to);

}  // namespace pitr
