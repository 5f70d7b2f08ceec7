// pitr check: what is missing or risky, each finding with its fix. Exit code 10 where there are
// problems; warnings don't count.
#pragma once

#include "programs/pitr/command_context.h"

namespace pitr {

Result<int> run_check(const CommandContext& context);

}  // namespace pitr
