// When a job is due, given what is known of its last runs. Pure; thread-safe.
//
//   missed    runs while nobody was there to start them are made up for by one
//   jitter    shifts all times of a cron expression by a part of it that is the same every time
//   window    what is due outside waits until it opens
//   failure   the next try comes after a delay that doubles, from a minute to half an hour
#pragma once

#include <optional>
#include <string_view>

#include "schedule/schedule.h"

namespace pitr {

struct JobRules {
  Schedule schedule = Schedule::never();
  TimeZone zone;
  Milliseconds offset{0};  // jitter_offset()
  std::optional<DayWindow> window;
};

struct JobMemory {
  // When the last one that ended well began; none: there was none, and it is due at once.
  std::optional<Timestamp> done;
  unsigned failures = 0;  // since then
  Timestamp last_failure;
  // A failure that trying again soon won't change: the next one comes as if it had gone well.
  std::optional<Timestamp> concluded;
};

// A part of `most` that depends on the names alone: the same after every start, and spread over a
// fleet.
Milliseconds jitter_offset(Milliseconds most, std::string_view cluster, std::string_view job);

Milliseconds retry_delay(unsigned failures);

// The moment from which on it may begin: not later than now where it is due. None: never.
std::optional<Timestamp> due_at(const JobRules& rules, const JobMemory& memory, Timestamp now);

// Memories of the future, left by a clock that was put back since, count as of now: a job may run
// once too often for that, but doesn't wait until the clock is there again.
void forget_future(JobMemory& memory, Timestamp now);

}  // namespace pitr
