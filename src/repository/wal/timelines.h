// Timeline ids for restores: each is given out once, so two restores never write the same names.
//
// A reservation is an object, timeline/<TLI>, taken by put-if-absent and never removed. It is
// durable when reserve_timeline() returns. Thread-safe, across machines too.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "common/clock.h"
#include "repository/repository.h"

namespace pitr {

struct TimelineReservation {
  TimelineId timeline;
  TimelineId parent;
  Timestamp time;
  std::string host;
  std::string purpose;  // for people: "restore of backup ... to ..."
};

// Takes the next id that is at least `minimum`, higher than `parent` and higher than every timeline
// with a history file, a segment or a reservation.
Result<TimelineReservation> reserve_timeline(const IncarnationStore& store, TimelineId parent,
                                             TimelineId minimum, const std::string& host,
                                             const std::string& purpose, const Clock& clock);
// Who holds a timeline id; nullopt where nobody has reserved it.
Result<std::optional<TimelineReservation>> timeline_reservation(const IncarnationStore& store,
                                                                TimelineId timeline);

}  // namespace pitr
