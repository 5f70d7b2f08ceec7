// pitr init: makes key file and repository, takes the clusters up, and creates their slots, so that
// from then on the servers keep the WAL that is not in the repository yet. Idempotent.
#pragma once

#include "programs/pitr/command_context.h"

namespace pitr {

struct InitOptions {
  bool no_encryption = false;
};

Result<int> run_init(const CommandContext& context, const InitOptions& options);

}  // namespace pitr
