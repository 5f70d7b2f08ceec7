// Takes a backup over the replication protocol: the server sends tar archives, which are unpacked
// into packs as they arrive; blocks that a parent has the same aren't stored. One thread receives,
// others compress, seal and store.
#pragma once

#include "basebackup/base_backup.h"
#include "basebackup/copied_files.h"

namespace pitr {

// The intent needs the start position, which only the running backup tells: start_writer is called
// once it is known.
using StartWriter = std::function<Result<BackupWriter*>(Lsn start_lsn, TimelineId timeline)>;

Result<CopiedFiles> copy_remote_files(const BaseBackupRequest& request,
                                      const StartWriter& start_writer, Observer& observer,
                                      std::stop_token stop);

}  // namespace pitr
