// The backup_label file: where recovery of a base backup starts.
//
// Format: PostgreSQL src/backend/access/transam/xlogbackup.c (build_backup_content), read by the
// server with strict fscanf in xlogrecovery.c (read_backup_label). A label that a server returned
// is stored and restored byte for byte; build_backup_label is for what has no such bytes.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "common/result.h"
#include "postgres/lsn.h"

namespace pitr {

struct BackupLabel {
  Lsn start;
  std::string start_segment;  // the file that holds it
  Lsn checkpoint;
  std::string method = "streamed";
  bool from_standby = false;
  std::string start_time;  // in the server's log_timezone: for people
  std::string label;
  TimelineId timeline;
  std::optional<Lsn> incremental_from;  // 17+; such a backup must be combined first
  std::optional<TimelineId> incremental_from_timeline;
};

// Lines in the server's order, nothing unknown between or after them: anything else is kCorrupt.
Result<BackupLabel> parse_backup_label(std::string_view text);
std::string build_backup_label(const BackupLabel& label);
// The text without the lines that make a server refuse to start from it until pg_combinebackup ran:
// for a backup that is whole. Everything else stays byte for byte.
std::string without_incremental_lines(std::string_view text);

}  // namespace pitr
