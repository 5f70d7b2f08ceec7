// What a rewrite of a data directory notes before it touches anything, so that it can be run again
// after it was killed: where the cluster's WAL ended, and how to undo it. It counts as long as the
// directory has no pg_control: that is moved away durably before the first change and comes back
// last, so that nothing can start in between.
//
// Files, in pitr_restore/ of the data directory: journal.json, and pg_control.before (the
// cluster's own). Written and removed durably. Functions only; one restore per directory.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "common/file.h"
#include "postgres/lsn.h"

namespace pitr {

struct InPlaceJournal {
  std::uint64_t system_identifier = 0;
  std::string backup;   // what it is rewritten to
  std::string target;   // for people
  TimelineId timeline;  // of the cluster, as it was
  Lsn end;              // of its WAL
  std::string mode;     // for people: "by facts", "by digest"
  std::string reason;   // for people
  std::string undo;     // the command that brings it back; empty: there is none
  // Writing failed: what reads like the backup may be in memory only, and nothing there counts.
  bool writes_failed = false;
  friend bool operator==(const InPlaceJournal&, const InPlaceJournal&) = default;
};

Path journal_file(const Path& data_directory);
Path withdrawn_control_file(const Path& data_directory);

std::string to_json(const InPlaceJournal& journal);
Result<InPlaceJournal> parse_in_place_journal(std::string_view json);

Result<void> write_journal(const Path& data_directory, const InPlaceJournal& journal);
// nullopt: no rewrite was interrupted here. kCorrupt: one was, and its journal can't be read.
Result<std::optional<InPlaceJournal>> read_journal(const Path& data_directory);

// pg_control's bytes as they are; nullopt: it isn't there. Each start and stop of a server changes
// them, so that they tell whether what was found out about a directory still holds.
using ControlBytes = std::optional<Bytes>;
Result<ControlBytes> control_bytes(const Path& data_directory);
// kConflict where it is another one than `seen`.
Result<void> check_same_control(const Path& data_directory, const ControlBytes& seen);

// Moves pg_control away, durably. kConflict, and nothing has changed, where a server runs, or ran
// since `seen` was.
Result<void> withdraw_control(const Path& data_directory, const ControlBytes& seen);
// After the restored pg_control is there.
Result<void> remove_journal(const Path& data_directory);

}  // namespace pitr
