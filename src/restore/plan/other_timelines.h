// Timelines that a restore doesn't follow: what of them is stored, and what they have of their own,
// which whoever asks for a moment may mean. Reads the repository; thread-safe.
#pragma once

#include <optional>

#include "restore/plan/plan.h"
#include "restore/plan/plan_words.h"

namespace pitr {

// What nobody can tell because the timeline's history or WAL is missing or damaged is left out.
Result<StoredTimeline> describe_timeline(const PlanSources& sources, TimelineId timeline);

// The first transaction that ended at or before the target (of a transaction: the one that it
// names) on another timeline, where that is not part of `followed`. A few segments with
// transactions are looked at. nullopt: there is none, or the target is not one that timelines can
// be confused for.
Result<std::optional<wal::XactEnd>> first_left_behind(const PlanSources& sources,
                                                      const TimelineHistory& followed,
                                                      TimelineId other,
                                                      const RestoreTarget& target);

// Fills in left_behind of the plan's timelines, and warns of each that has some; a note where the
// timeline was asked for.
void tell_what_is_left_behind(const PlanSources& sources, const PlanWords& words,
                              RestorePlan& plan);

}  // namespace pitr
