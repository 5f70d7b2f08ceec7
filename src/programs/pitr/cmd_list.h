// pitr list and pitr show: the backups in the repository. They ask neither agent nor server.
#pragma once

#include "programs/pitr/command_context.h"

namespace pitr {

Result<int> run_list(const CommandContext& context);

// backup: an id, the beginning of one, or "latest".
Result<int> run_show(const CommandContext& context, const std::string& backup);

}  // namespace pitr
