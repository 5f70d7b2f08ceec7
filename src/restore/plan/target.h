// What a restore is asked to reach, as the operator says it. The planner (plan.h) turns it into an
// exact position on an explicit timeline.
//
// Inclusive and exclusive are PostgreSQL's recovery_target_inclusive: whether the record that the
// target names is replayed. Plain values.
#pragma once

#include <cstdint>
#include <string>
#include <variant>

#include "common/clock.h"
#include "postgres/lsn.h"

namespace pitr {

// The prefix of WAL before the first commit or abort later than `time` (exclusive: at or after it).
struct TargetTime {
  Timestamp time;
  bool inclusive = true;
};
// The first record that starts at or after `lsn`.
struct TargetLsn {
  Lsn lsn;
  bool inclusive = true;
};
// The commit or abort of a top-level transaction.
struct TargetXid {
  std::uint32_t xid = 0;
  bool inclusive = true;
};
// The first restore point of that name after the backup's stop.
struct TargetName {
  std::string name;
};
// The backup's stop: as soon as the backup is consistent.
struct TargetImmediate {};
// The end of the WAL that is stored without a hole.
struct TargetLatest {};

using RestoreTarget =
    std::variant<TargetTime, TargetLsn, TargetXid, TargetName, TargetImmediate, TargetLatest>;

// For messages: "time 2026-03-01 09:15:00.000000+00", "LSN 0/3000148 (exclusive)", "latest".
std::string to_string(const RestoreTarget& target);

}  // namespace pitr
