// pitr audit: reads the audit trail. It works on the repository; no agent is asked.
#pragma once

#include <string>

#include "programs/pitr/command_context.h"

namespace pitr {

struct AuditArguments {
  std::string from;   // a time, or empty
  std::string until;  // the same; exclusive
  std::string user;
  std::string operation;
  bool failures_only = false;
  bool summary = false;
};

// The entries, as a table or with --json as lines of JSON; with --summary counts by quarter.
// Entries of all clusters and of the repository itself where --cluster is not given.
Result<int> run_audit(const CommandContext& context, const AuditArguments& arguments);

}  // namespace pitr
