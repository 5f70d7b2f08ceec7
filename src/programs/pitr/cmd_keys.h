// pitr keys list, rotate, retire and rotate-data. They work on the repository; no agent is asked.
#pragma once

#include <string>

#include "programs/pitr/command_context.h"

namespace pitr {

struct KeysArguments {
  std::string new_key_file;  // rotate; empty: exchange the configured key file
  std::string id;            // retire
  bool yes = false;          // retire, without asking
};

Result<int> run_keys_list(const CommandContext& context);
Result<int> run_keys_rotate(const CommandContext& context, const KeysArguments& arguments);
Result<int> run_keys_retire(const CommandContext& context, const KeysArguments& arguments);
Result<int> run_keys_rotate_data(const CommandContext& context);

}  // namespace pitr
