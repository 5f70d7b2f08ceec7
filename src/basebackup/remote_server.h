// What a server says of itself before a backup over the connection, and whether it can send only
// what changed since an earlier one. Blocks; ends with kCancelled soon after a stop.
#pragma once

#include <optional>
#include <stop_token>
#include <string>

#include "common/clock.h"
#include "postgres/connection.h"
#include "postgres/timeline_history.h"

namespace pitr {

struct RemoteServer {
  int major = 0;
  Timestamp now;
  bool is_standby = false;
  bool has_linked_tablespaces = false;    // besides the two of every cluster
  bool has_in_place_tablespaces = false;  // allow_in_place_tablespaces, 15+
  bool data_checksums = false;
  bool wal_log_hints = false;
  std::optional<bool> summarizes_wal;  // none: before 17
  std::uint64_t system_identifier = 0;
  TimelineId timeline;
  Lsn position;         // flushed, not always at a record's end; on a standby received or replayed
  Lsn checkpoint_redo;  // the last one's
  // Its own; none where it has no file of it. Timeline 1 has no ancestors.
  std::optional<TimelineHistory> history;
};

Result<RemoteServer> ask_remote_server(const std::string& conninfo, std::stop_token stop);
Result<Timestamp> ask_server_time(const std::string& conninfo, std::stop_token stop);

// Why it sends everything, whatever changed; empty: it may send only what changed.
std::string why_all_is_sent(const RemoteServer& server, bool keeps_server_manifest);

}  // namespace pitr
