// Takes a backup over the replication protocol: the server sends tar archives, which are unpacked
// into packs as they arrive; blocks that a parent has the same aren't stored. From 17 on the server
// may send only what changed since the parent, by its own WAL summaries. One thread receives,
// others compress, seal and store.
#pragma once

#include "basebackup/backup_basis.h"
#include "basebackup/base_backup.h"
#include "basebackup/copied_files.h"
#include "basebackup/remote_server.h"

namespace pitr {

// The intent needs the start position, which only the running backup tells: start_writer is called
// once it is known.
using StartWriter = std::function<Result<BackupWriter*>(Lsn start_lsn, TimelineId timeline)>;

// The server sends everything.
Result<CopiedFiles> copy_remote_files(const BaseBackupRequest& request, const RemoteServer& server,
                                      const StartWriter& start_writer, Observer& observer,
                                      std::stop_token stop);

// The server sends what changed since the basis' parent. When files are chosen, basis.changed tells
// of most of the way to the backup's start; when start_writer has returned, of all of it. nullopt:
// the server refuses, for the reason that `refusal` then is in words; nothing was sent.
Result<std::optional<CopiedFiles>> copy_remote_changes(
    const BaseBackupRequest& request, const RemoteServer& server, const IncarnationStore& store,
    const BackupBasis& basis, const StartWriter& start_writer, Observer& observer,
    std::stop_token stop, std::string& refusal);

}  // namespace pitr
