// pitr notify: sends a test event to those who are notified.
#pragma once

#include "programs/pitr/command_context.h"

namespace pitr {

// destination: only this one; empty: all. What came of it is printed for each; the exit code is
// that of the first error.
Result<int> run_notify(const CommandContext& context, const std::string& destination);

}  // namespace pitr
