// A timeline's ancestry: which timelines came before it, and where each was left.
//
// Format of <TLI>.history: lines "parentTLI <tab> switch LSN <tab> reason"; '#' comments and blank
// lines are allowed, timelines increase (PostgreSQL src/backend/access/transam/timeline.c).
// Timeline 1 has no file. Immutable once made; thread-safe.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"
#include "postgres/lsn.h"

namespace pitr {

class TimelineHistory {
 public:
  struct Ancestor {
    TimelineId timeline;
    Lsn switch_point;  // its first byte that is not part of this history
    std::string reason;
  };

  // timeline is the one that the file describes: its own name.
  static Result<TimelineHistory> parse(TimelineId timeline, std::string_view text);
  // A timeline without ancestors, such as 1.
  static TimelineHistory without_ancestors(TimelineId timeline);

  TimelineId timeline() const { return timeline_; }
  const std::vector<Ancestor>& ancestors() const { return ancestors_; }  // oldest first

  bool contains(TimelineId timeline) const;  // itself or an ancestor
  // Up to where an ancestor's WAL belongs to this history; absent for the timeline itself and for
  // strangers. That is where it was left, or an earlier switch of a later timeline: recovery along
  // timeline 2 that stopped before 2 began gives "1 at 0/5000000, 2 at 0/4000000".
  std::optional<Lsn> switch_point(TimelineId timeline) const;
  // Where a timeline of this history began; 0 for the oldest; absent for strangers.
  std::optional<Lsn> begin_of(TimelineId timeline) const;
  // The timeline that the byte at lsn belongs to: at a switch point, the newer one.
  TimelineId timeline_at(Lsn lsn) const;
  // Whether lsn on the given timeline is part of this history (the switch point itself counts:
  // everything before it is shared).
  bool contains(TimelineId timeline, Lsn lsn) const;

 private:
  TimelineHistory(TimelineId timeline, std::vector<Ancestor> ancestors)
      : timeline_(timeline), ancestors_(std::move(ancestors)) {}
  TimelineId timeline_;
  std::vector<Ancestor> ancestors_;
};

}  // namespace pitr
