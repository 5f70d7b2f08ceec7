// Reads a data directory directly, with several threads, between the backup's start and stop: what
// the basis leaves to be read.
#pragma once

#include "basebackup/backup_basis.h"
#include "basebackup/backup_session.h"
#include "basebackup/base_backup.h"
#include "basebackup/copied_files.h"

namespace pitr {

// The session has checked that the directory is its server's and started the backup at start_lsn;
// it is stopped here.
Result<CopiedFiles> copy_local_files(BackupSession& session, Lsn start_lsn,
                                     const BaseBackupRequest& request, const BackupBasis& basis,
                                     const IncarnationStore& store, BackupWriter& writer,
                                     Observer& observer, std::stop_token stop);

}  // namespace pitr
