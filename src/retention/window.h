// The recovery window: which backups and which WAL every moment in it needs. Internal to
// retention/.
#pragma once

#include <vector>

#include "common/time_zone.h"
#include "retention/tiers.h"

namespace pitr {

// Adds the reasons kWithin, kBase and kFuture, and fills in the plan's windows and the WAL that
// they need. The plan has a decision for each backup, at its index.
void keep_window(const RetentionInput& input, const RetentionPolicy& policy,
                 const OrderedBackups& order, const TimeZone& zone, RetentionPlan& plan);

// The WAL with which a backup that is kept becomes consistent, from start to stop.
void keep_own_wal(const RetentionInput& input, RetentionPlan& plan);

// Sorts the plan's WAL and joins what overlaps.
void join_wal(std::vector<KeptWal>& wal);

}  // namespace pitr
