#include "retention/simulate.h"

#include <fmt/format.h>

#include <algorithm>

namespace pitr {

static RetentionBackup backup_at(Timestamp time, std::size_t number) {
  RetentionBackup backup;
  backup.id = fmt::format("simulated {}", number + 1);
  backup.timeline = 1;
  backup.start_lsn = (number + 1) << 24;
  backup.stop_lsn = backup.start_lsn + 1;
  backup.stop_time = time;
  return backup;
}

Result<SimulatedRetention> simulate_retention(const RetentionPolicy& policy, Timestamp begin,
                                              unsigned days, Microseconds every) {
  if (days == 0 || every <= Microseconds(0)) {
    return Error::invalid("a simulation needs at least a day, and time between its backups");
  }
  SimulatedRetention simulated;
  auto& input = simulated.input;
  const auto end = begin + std::chrono::hours(24) * days;
  for (auto now = begin; now < end; now = now + every) {
    input.now = now;
    input.backups.push_back(backup_at(now, simulated.backups_taken++));
    simulated.plan = TRY(plan_retention(input, policy));
    std::vector<RetentionBackup> left;
    for (const auto& decision : simulated.plan.decisions) {
      if (decision.keep()) left.push_back(std::move(input.backups[decision.backup]));
    }
    input.backups = std::move(left);
    simulated.most_kept = std::max(simulated.most_kept, input.backups.size());
  }
  simulated.plan = TRY(plan_retention(input, policy));
  return simulated;
}

}  // namespace pitr
