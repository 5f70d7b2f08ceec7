// A backup of a data directory on which no server runs, stopped or crashed: what an in-place
// restore takes before it touches anything, so that it can be undone. Only what differs from an
// older backup is read and stored; the caller knows it (it compared the two).
//
// Recovery of it starts at a checkpoint behind whose redo there is WAL and is consistent at the end
// of the cluster's WAL, as with a backup of a standby (and with pg_rewind, which marks pg_control
// the same way): PostgreSQL src/backend/access/transam/xlogrecovery.c, read_backup_label() and
// CheckRecoveryConsistency(). Published like any other; the WAL must be in the repository before.
#pragma once

#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "common/clock.h"
#include "common/file.h"
#include "common/observer.h"
#include "postgres/timeline_history.h"
#include "postgres/wal/record.h"
#include "repository/backup/backup_writer.h"
#include "repository/backup/block_selection.h"
#include "repository/wal/facts_store.h"
#include "repository/wal/wal_archive.h"

namespace pitr {

struct OfflineBackupRequest {
  Path data_directory;
  std::string label = "pitr-safety";
  std::string host;  // of this program, for the record
  unsigned workers = 2;
  PackOptions pack;

  BackupManifest parent;
  std::span<const FileRow> parent_files;  // all of them, ascending
  // By file of the parent: whether it is there as a plain file, so that blocks can be shared.
  std::span<const std::optional<std::uint64_t>> present;
  const BlockSelection& changed;  // at least all blocks of the parent's files that differ

  TimelineHistory history;  // of the cluster's timeline
  // Absent: an older one is looked for in the facts.
  std::optional<wal::Checkpoint> recovery_start;
  Lsn last_record;
  Lsn end;  // of the cluster's WAL, behind the last record
};

// kInvalid: no recovery could lead to the end of the WAL; the message says why.
Result<BackupManifest> take_offline_backup(const IncarnationStore& store, const WalArchive& archive,
                                           const FactsStore& facts,
                                           const OfflineBackupRequest& request, const Clock& clock,
                                           Observer& observer, std::stop_token stop = {});

}  // namespace pitr
