// The WAL that a backup brings along, read record by record from the archive.
#pragma once

#include "postgres/timeline_history.h"
#include "postgres/wal/xact_scan.h"
#include "repository/wal/wal_archive.h"

namespace pitr {

// Shows the sink what ends in the segments from start's to that of the byte before stop. kTransient
// where it can't be read up to stop, kNotFound where a segment isn't there.
Result<void> scan_backup_wal(const WalArchive& archive, const TimelineHistory& history, Lsn start,
                             Lsn stop, wal::ScanSink sink);

struct BackupWal {
  Lsn start;  // the start checkpoint's redo
  Lsn checkpoint;
  Lsn stop;
  bool from_standby = false;
};
// That the WAL in the archive was written by the server that was backed up: it has the checkpoint
// of the backup's start, and a primary's has the record of its end. All of it must be there.
//
// kConflict otherwise. A server that was set back on its timeline (a snapshot, a failed disk), or
// another one under the same name, goes through LSNs of which the archive holds other WAL: the
// backup would lack its own, and what that WAL says of changed blocks is of another life.
Result<void> check_backup_wal(const WalArchive& archive, const TimelineHistory& history,
                              const BackupWal& wal);

}  // namespace pitr
