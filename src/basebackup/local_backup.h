// Reads a data directory directly, with several threads, between the backup's start and stop.
#pragma once

#include "basebackup/backup_session.h"
#include "basebackup/base_backup.h"
#include "basebackup/copied_files.h"

namespace pitr {

// The session has checked that the directory is its server's and started the backup at start_lsn;
// it is stopped here.
Result<CopiedFiles> copy_local_files(BackupSession& session, Lsn start_lsn,
                                     const BaseBackupRequest& request, BackupWriter& writer,
                                     Observer& observer, std::stop_token stop);

}  // namespace pitr
