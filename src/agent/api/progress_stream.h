// Work of minutes or hours that a client of the API watches, as lines of JSON:
//   {"event":"phase","name":"copying files","total_bytes":1234}
//   {"event":"progress","done_bytes":1000}            every half second
//   {"event":"warning","message":"..."}
//   {"event":"done","backup":{...}}                   the last line, with what came of it
//   {"event":"error","kind":"transient","message":"...","hint":"..."}      or this
// The work belongs to the request: when the client goes away it is stopped.
#pragma once

#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "common/observer.h"
#include "http/message.h"

namespace pitr {

using StreamedWork = std::function<Result<nlohmann::json>(Observer& observer, std::stop_token)>;

// Runs the work on a thread of its own and answers with its lines; the last one has the result
// under `result_name`. What the work uses must outlive the response.
http::Response stream_work(std::string result_name, StreamedWork work, std::stop_token server_stop);

// The client's side: one line of the stream.
struct StreamEvent {
  enum class Kind { kPhase, kProgress, kWarning, kDone, kError };
  Kind kind = Kind::kProgress;
  std::string text;         // phase: its name; warning: the message
  std::uint64_t bytes = 0;  // phase: in all; progress: done
  std::string result_json;  // done
  std::optional<Error> error;
};
Result<StreamEvent> parse_stream_event(std::string_view line, const std::string& result_name);

}  // namespace pitr
