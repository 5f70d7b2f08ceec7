// Starts a server on a restored directory, waits until recovery has reached its target, and
// compares what PostgreSQL says with what was planned.
//
// What it says: the line "recovery stopping ... (LSN)" of its log; after a promotion also the new
// timeline's history file and pg_control; when paused pg_last_wal_replay_lsn(), where it lets us
// in. Anything but the planned end is a miss, and a miss is never reported as success.
#pragma once

#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "common/observer.h"
#include "restore/recovery/recovery_settings.h"

namespace pitr {

struct StartRequest {
  Path data_directory;
  std::optional<Path> binary_directory;
  std::optional<int> port;
  std::vector<std::string> settings;  // "name=value", given to the server on its command line
  RecoveryAction action = RecoveryAction::kPromote;
  std::vector<std::string> missing_configuration;  // of RestoreSummary
};

struct ServerReport {
  bool reached = false;
  std::string says;  // what PostgreSQL said, or why the target was missed
  Lsn end;
  std::optional<TimelineId> timeline;  // the new one, after a promotion
  std::optional<int> port;
  std::string socket_directory;
  Path log_file;
};

Result<ServerReport> start_restored_server(const StartRequest& request, const RecoveryPlan& plan,
                                           Observer& observer, std::stop_token stop);

}  // namespace pitr
