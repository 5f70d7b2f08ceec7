// Whether a backup can replay the copies of databases that were made while it ran.
//
// Replay of such a record removes the copy and makes it again from the original, as the backup has
// that: where the original was dropped (ALTER DATABASE SET TABLESPACE drops it at once) or changed
// before the backup came to read it, the copy lacks files, or has rows that it never had. WAL does
// not mend that, and the server says little or nothing. pg_basebackup has the same gap.
#pragma once

#include "postgres/timeline_history.h"
#include "repository/wal/facts_store.h"
#include "repository/wal/wal_archive.h"

namespace pitr {

// kTransient, with the database, where the WAL from a backup's start to its stop copies a database
// and goes on to drop or change the original; without looking whether the backup was too late for
// it. All of that WAL must be in the archive. Reads it only where facts know of such a database.
Result<void> check_copied_databases(const WalArchive& archive, const FactsStore& facts,
                                    const TimelineHistory& history, Lsn start, Lsn stop);

}  // namespace pitr
