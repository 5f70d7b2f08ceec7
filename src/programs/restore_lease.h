// The lease of a restore: expire leaves its backup and its WAL alone while it runs, and for a day
// after that, in which the server that it made may be started.
#pragma once

#include <memory>

#include "repository/expire/lease.h"
#include "restore/plan/plan.h"
#include "restore/recovery/recovery_plan.h"

namespace pitr {

inline constexpr Microseconds kLeaseAfterRestore = std::chrono::hours(24);

// kConflict: what the plan needs is being expired.
Result<std::unique_ptr<LeaseKeeper>> hold_for_restore(const IncarnationStore& store,
                                                      const RestorePlan& plan);
// The same for recovery, which needs WAL only.
Result<std::unique_ptr<LeaseKeeper>> hold_for_recovery(const IncarnationStore& store,
                                                       const RecoveryPlan& plan);

}  // namespace pitr
