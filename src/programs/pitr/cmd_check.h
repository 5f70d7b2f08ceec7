// pitr check: what is missing or risky, each finding with its fix. Exit code 0 only without
// problems.
#pragma once

#include "programs/pitr/command_context.h"

namespace pitr {

Result<int> run_check(const CommandContext& context);

}  // namespace pitr
