// Which timeline a restore follows: the one asked for, or the newest one stored. Reads the
// repository; thread-safe.
#pragma once

#include <optional>
#include <vector>

#include "postgres/timeline_history.h"
#include "restore/plan/plan.h"

namespace pitr {

struct TimelineChoice {
  TimelineHistory history;
  std::vector<StoredTimeline> stored;  // all, ascending
};

// kNotFound where the wanted timeline, or any, isn't stored.
Result<TimelineChoice> choose_timeline(const PlanSources& sources,
                                       std::optional<TimelineId> wanted);

}  // namespace pitr
