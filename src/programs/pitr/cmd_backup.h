// pitr backup: a base backup, through the agent where one answers, else by itself with a WAL
// receiver of its own for the duration.
#pragma once

#include "agent/cluster_service.h"
#include "programs/pitr/command_context.h"

namespace pitr {

Result<int> run_backup(const CommandContext& context, const BackupOptions& options);

}  // namespace pitr
