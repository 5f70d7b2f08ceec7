// What the operator's words mean: target, plan request, tablespace mappings, incarnation. Functions
// only; thread-safe.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "config/config.h"
#include "programs/pitr_restore/restore_run.h"
#include "repository/incarnations.h"

namespace pitr {

struct AskedTarget {
  RestoreTarget target;
  std::string zone;
  std::optional<std::string> given_time;
};

Result<AskedTarget> parse_target(const RestoreArguments& arguments);
// kInvalid: no cluster of that name is configured, or none is named of several; both with the
// names.
Result<const ClusterConfig*> find_cluster(const Config& config, const std::string& name);
// The backup as "pitr show" takes it, from these, oldest first: an id, the beginning of one,
// "latest".
Result<PlanRequest> parse_request(const RestoreArguments& arguments, const AskedTarget& asked,
                                  const std::vector<BackupManifest>& backups,
                                  const std::string& cluster);
Result<std::vector<TablespaceMapping>> parse_mappings(const std::vector<std::string>& texts);
// The incarnation that the name stands for now, or the one asked for.
Result<IncarnationStore> open_incarnation(Repository& repository, const RestoreArguments& arguments,
                                          const std::string& cluster);

}  // namespace pitr
