// pitr verify. The agent does it where one answers, in the cluster's turn; else this program.
#pragma once

#include <string>

#include "programs/pitr/command_context.h"

namespace pitr {

struct VerifyArguments {
  bool quick = false;
  bool no_record = false;
  std::string backup;    // an id, or the beginning of one; empty: everything
  std::string budget;    // such as 100GiB; empty: none
  std::string period;    // such as 30d; with either, packs and WAL in turn
  std::string max_rate;  // such as 50MiB/s; empty: unlimited
  unsigned workers = 2;
};
// All clusters, or the one of --cluster, one after another. The exit code is kCorrupt's where
// anything is damaged or missing, else that of what kept something from being checked.
Result<int> run_verify(const CommandContext& context, const VerifyArguments& arguments);

}  // namespace pitr
