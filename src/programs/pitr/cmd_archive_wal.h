// pitr archive-wal: what pitr-archive runs where no agent answers. Stores one WAL file with its
// facts. Exit codes within 1 to 125, as archive_command needs them (pgarch.c).
#pragma once

#include "programs/pitr/command_context.h"

namespace pitr {

Result<int> run_archive_wal(const CommandContext& context, const std::string& path);

}  // namespace pitr
