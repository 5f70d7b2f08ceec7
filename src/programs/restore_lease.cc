#include "programs/restore_lease.h"

#include "agent/host.h"

namespace pitr {

static std::vector<LeasedWal> wal_of(const std::vector<SegmentRun>& segments) {
  std::vector<LeasedWal> wal;
  for (const auto& run : segments) wal.push_back({run.timeline, run.first, run.last});
  return wal;
}

static Result<std::unique_ptr<LeaseKeeper>> hold(const IncarnationStore& store, LeaseNeeds needs) {
  auto lease = TRY(Lease::take(store, std::move(needs)));
  return std::make_unique<LeaseKeeper>(std::move(lease));
}

Result<std::unique_ptr<LeaseKeeper>> hold_for_restore(const IncarnationStore& store,
                                                      const RestorePlan& plan) {
  return hold(store, {{plan.backup.id}, wal_of(plan.segments), "pitr-restore on " + host_name()});
}

Result<std::unique_ptr<LeaseKeeper>> hold_for_recovery(const IncarnationStore& store,
                                                       const RecoveryPlan& plan) {
  return hold(store, {{}, wal_of(plan.segments), "recovery on " + host_name()});
}

}  // namespace pitr
