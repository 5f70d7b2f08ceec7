// The jobs that the agent does by itself for a cluster, and what is told of them. Plain values.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "common/clock.h"

namespace pitr {

// In the order in which they come when several are due. An independent backup is one for the
// schedule of backups, too.
enum class JobKind : std::uint8_t { kCheck, kIndependent, kBackup, kExpire, kVerify };
inline constexpr std::array kJobKinds{JobKind::kCheck, JobKind::kIndependent, JobKind::kBackup,
                                      JobKind::kExpire, JobKind::kVerify};
std::string_view to_string(JobKind kind);  // "check", "independent", "backup", "expire", "verify"

// How the last run ended.
struct JobEnd {
  Timestamp started;
  Timestamp ended;
  std::string result;  // for people; empty where it failed
  std::string error;   // empty where it went well
};

struct JobStatus {
  JobKind kind = JobKind::kCheck;
  std::string schedule;           // as the configuration has it
  std::optional<Timestamp> next;  // not later than now: it is due, or waits for another job
  std::optional<Timestamp> running_since;
  std::optional<Timestamp> done;  // when the last one that went well began
  unsigned failures = 0;          // since then
  std::optional<JobEnd> last;
};

}  // namespace pitr
