// pitr facts rebuild: what the repository knows about its WAL, derived from the WAL again.
#pragma once

#include <string>

#include "programs/pitr/command_context.h"

namespace pitr {

struct FactsRebuildOptions {
  std::uint32_t timeline = 0;  // 0: all
  std::string from_lsn;        // empty: from the first segment
  std::string to_lsn;          // empty: to the last one
};

Result<int> run_facts_rebuild(const CommandContext& context, const FactsRebuildOptions& options);

}  // namespace pitr
