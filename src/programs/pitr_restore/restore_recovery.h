// From the plan of a restore to that of its recovery, which pitr-wal-get and the prefetcher carry.
#pragma once

#include <string>

#include "config/config.h"
#include "repository/repository.h"
#include "restore/plan/plan.h"
#include "restore/recovery/recovery_plan.h"

namespace pitr {

struct RecoveryPlace {
  Path config_file;  // absolute
  const ClusterConfig& cluster;
  Path data_directory;
  std::string target;  // as the operator wrote it
};

// Reserves the new timeline, which stays reserved whatever comes of the restore.
Result<RecoveryPlan> make_recovery_plan(const RestorePlan& plan, const IncarnationStore& store,
                                        const RecoveryPlace& place, const Clock& clock);

}  // namespace pitr
