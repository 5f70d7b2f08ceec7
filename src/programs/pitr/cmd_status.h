// pitr status: what the agent does and what can be restored. Where no agent answers it is computed
// from the repository and the server, and says so. Exit code 10 where not all is well.
#pragma once

#include "programs/pitr/command_context.h"

namespace pitr {

Result<int> run_status(const CommandContext& context);

}  // namespace pitr
