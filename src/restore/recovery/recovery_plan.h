// What recovery needs of the plan once files are restored, written into the new data directory:
//   pitr_restore/plan.json   everything below, for the prefetcher and "pitr wal-get"
//   pitr_restore/plan        key=value for pitr-wal-get (its source has the format)
//   pitr_restore/restoring   there while files are incomplete; what it is, for people
//   pitr_restore/spool/      prefetched segments
// Plain values; writing is durable.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/file.h"
#include "restore/plan/plan.h"

namespace pitr {

inline constexpr std::string_view kRestoreDirectory = "pitr_restore";

struct RecoveryPlan {
  Path configuration;  // absolute; where the repository and its keys are described
  std::string cluster;
  std::uint64_t system_identifier = 0;
  std::uint32_t major_version = 0;
  std::uint64_t segment_size_bytes = 0;

  TimelineId timeline;      // recovery_target_timeline
  TimelineId new_timeline;  // reserved for this restore
  std::vector<SegmentRun> segments;
  Lsn wal_start;
  Lsn target_lsn;
  bool inclusive = true;
  Lsn target_record_end;
  Lsn end;
  std::string target;  // for people

  Path socket;  // of the prefetcher
  Path spool_directory;
  std::uint64_t spool_limit_bytes = 0;
  Path program;  // the full program, run by pitr-wal-get where no prefetcher answers
};

Path recovery_plan_file(const Path& data_directory);  // pitr_restore/plan.json
Path wal_get_plan_file(const Path& data_directory);   // pitr_restore/plan

std::string to_json(const RecoveryPlan& plan);
Result<RecoveryPlan> parse_recovery_plan(std::string_view json);
// Reads plan.json beside the file that pitr-wal-get was given.
Result<RecoveryPlan> read_recovery_plan(const Path& wal_get_plan);
std::string wal_get_plan_text(const RecoveryPlan& plan);

}  // namespace pitr
