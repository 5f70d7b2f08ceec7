// What the operator's words mean: target, plan request, tablespace mappings, incarnation. Functions
// only; thread-safe.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "programs/pitr_restore/restore_run.h"
#include "repository/incarnations.h"

namespace pitr {

struct AskedTarget {
  RestoreTarget target;
  std::string zone;
  std::optional<std::string> given_time;
};

Result<AskedTarget> parse_target(const RestoreArguments& arguments);
Result<PlanRequest> parse_request(const RestoreArguments& arguments, const AskedTarget& asked);
Result<std::vector<TablespaceMapping>> parse_mappings(const std::vector<std::string>& texts);
// The incarnation that the name stands for now, or the one asked for.
Result<IncarnationStore> open_incarnation(Repository& repository, const RestoreArguments& arguments,
                                          const std::string& cluster);

}  // namespace pitr
