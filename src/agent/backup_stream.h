// A base backup that a client of the control protocol watches, as lines of JSON:
//   {"event":"phase","name":"copying files","total_bytes":1234}
//   {"event":"progress","done_bytes":1000}            every half second
//   {"event":"warning","message":"..."}
//   {"event":"done","backup":{...}}                   the last line, as "pitr show --json" has it
//   {"event":"error","kind":"transient","message":"...","hint":"..."}      or this
// The backup belongs to the request: when the client goes away it is cancelled.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "agent/cluster_service.h"
#include "http/message.h"

namespace pitr {

// The body of a request, a JSON object with any of: label, reason, read ("full" or "independent"),
// method
// ("local" or "remote"), workers, keep_server_manifest. kInvalid for anything else.
Result<BackupOptions> parse_backup_options(std::string_view body);
std::string to_json_text(const BackupOptions& options);

// Runs the backup and answers with its lines. The service must outlive the response.
http::Response stream_backup(ClusterService& service, BackupOptions options, std::stop_token stop);

// The client's side: one line of the stream.
struct BackupEvent {
  enum class Kind { kPhase, kProgress, kWarning, kDone, kError };
  Kind kind = Kind::kProgress;
  std::string text;         // phase: its name; warning: the message
  std::uint64_t bytes = 0;  // phase: in all; progress: done
  std::string backup_json;  // done
  std::optional<Error> error;
};
Result<BackupEvent> parse_backup_event(std::string_view line);

}  // namespace pitr
