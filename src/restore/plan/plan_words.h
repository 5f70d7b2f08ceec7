// How the planner says times and advice: in the operator's zone, and with the timeline that was
// asked for, so that what a hint says can be run as it stands. Plain values; thread-safe.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "postgres/lsn.h"
#include "restore/plan/target.h"

namespace pitr {

struct PlanWords {
  std::string zone;                    // "Europe/Berlin"; empty: UTC
  std::optional<TimelineId> timeline;  // that was asked for

  // "2026-03-01 10:15:00.123456+01:00"
  std::string time(Timestamp at) const;
  // As to_string(target) has it.
  std::string target(const RestoreTarget& target) const;
  // "--latest --timeline 3"
  std::string option(std::string_view option) const;
};

}  // namespace pitr
