// pitr expire, pin, unpin and retention simulate. They work on the repository; only expire that
// deletes is done by the agent, where one answers.
#pragma once

#include <string>

#include "common/clock.h"
#include "programs/pitr/command_context.h"

namespace pitr {

struct ExpireArguments {
  bool dry_run = false;
};
// All clusters, or the one of --cluster, one after another.
Result<int> run_expire(const CommandContext& context, const ExpireArguments& arguments);

struct PinArguments {
  std::string backup;  // an id, or the beginning of one
  std::string label;
  std::string until;  // a time, or empty; pin only
};
Result<int> run_pin(const CommandContext& context, const PinArguments& arguments);
Result<int> run_unpin(const CommandContext& context, const PinArguments& arguments);

struct SimulateArguments {
  unsigned days = 400;
  std::string every = "24h";
};
Result<int> run_retention_simulate(const CommandContext& context,
                                   const SimulateArguments& arguments);

}  // namespace pitr
