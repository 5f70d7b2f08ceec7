// pitr token add, list and remove: who may use the agent's API over TCP.
#pragma once

#include <string>
#include <vector>

#include "programs/pitr/command_context.h"

namespace pitr {

struct TokenArguments {
  std::string name;
  std::string role;
  std::string expires;                // a duration; empty: never
  std::vector<std::string> clusters;  // empty: all
};
// Prints the token's text, which is shown this once.
Result<int> run_token_add(const CommandContext& context, const TokenArguments& arguments);
Result<int> run_token_list(const CommandContext& context);
Result<int> run_token_remove(const CommandContext& context, const TokenArguments& arguments);

}  // namespace pitr
