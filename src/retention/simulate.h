// What a policy keeps in the long run: a backup every so often for some days, and the policy
// applied after each. For people who choose numbers. Pure.
#pragma once

#include <vector>

#include "retention/retention.h"

namespace pitr {

struct SimulatedRetention {
  RetentionInput input;  // as it is in the end: the backups that are left
  RetentionPlan plan;    // of these
  std::size_t backups_taken = 0;
  std::size_t most_kept = 0;  // at any time
};

// kInvalid: a policy that can't be followed, or no time to simulate.
Result<SimulatedRetention> simulate_retention(const RetentionPolicy& policy, Timestamp begin,
                                              unsigned days, Microseconds every);

}  // namespace pitr
