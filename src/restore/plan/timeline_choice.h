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

// A transaction that ended at or before `time` on the parent, behind the point where `history`'s
// own timeline left it: whoever asks for that time may mean the parent. The first
// segments behind that point are looked at.
Result<std::optional<Timestamp>> parent_goes_on_until(const PlanSources& sources,
                                                      const TimelineHistory& history,
                                                      Timestamp time);

}  // namespace pitr
