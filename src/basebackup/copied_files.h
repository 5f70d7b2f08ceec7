// What either way of reading a database brings besides the files' contents. Plain values.
#pragma once

#include <string>
#include <vector>

#include "basebackup/promise_check.h"
#include "postgres/control_file.h"
#include "repository/backup/backup_manifest.h"

namespace pitr {

struct CopiedFiles {
  Lsn start_lsn;
  Lsn checkpoint_lsn;  // the start checkpoint's record
  Lsn stop_lsn;
  TimelineId timeline;
  Timestamp start_time;  // the server's clock
  Timestamp stop_time;
  bool from_standby = false;
  std::string backup_label;    // verbatim, but for the lines INCREMENTAL FROM
  std::string tablespace_map;  // verbatim
  std::vector<TablespaceInfo> tablespaces;
  ControlFile control;  // as copied
  std::uint64_t read_bytes = 0;
  std::vector<ChecksumFailure> checksum_failures;  // capped
  std::uint64_t checksum_failure_count = 0;
  // What is wrong against the WAL's promise, as far as the WAL before the start tells.
  std::uint64_t checked_blocks = 0;
  std::vector<BrokenPromise> broken_promises;
  std::uint64_t unlisted_broken_promises = 0;
};

}  // namespace pitr
