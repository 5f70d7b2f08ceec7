#include "agent/api/progress_stream.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <thread>

#include "agent/jobs/backup_progress.h"

namespace pitr {

using Json = nlohmann::json;

static constexpr Milliseconds kProgressInterval{500};

// ---- The agent's side
// ----------------------------------------------------------------------------

static std::string to_line(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

static Json to_json(const Error& error) {
  return {{"event", "error"},
          {"kind", to_string(error.kind())},
          {"message", error.message()},
          {"hint", error.hint()}};
}

// What changed since the snapshot before, as lines.
static std::string changes(const BackupProgress::Snapshot& before,
                           const BackupProgress::Snapshot& now) {
  std::string lines;
  for (std::size_t i = before.phases.size(); i < now.phases.size(); ++i) {
    const auto& phase = now.phases[i];
    lines +=
        to_line({{"event", "phase"}, {"name", phase.name}, {"total_bytes", phase.total_bytes}});
  }
  for (std::size_t i = before.warnings.size(); i < now.warnings.size(); ++i) {
    lines += to_line({{"event", "warning"}, {"message", now.warnings[i]}});
  }
  // At least one line each time, by which a client that went away is noticed.
  return lines + to_line({{"event", "progress"}, {"done_bytes", now.done_bytes}});
}

static Result<void> write_progress(BackupProgress& progress, http::ResponseStream& stream) {
  BackupProgress::Snapshot before;
  while (!before.finished) {
    auto now = progress.wait(kProgressInterval);
    TRY(stream.write(changes(before, now)));
    before = std::move(now);
  }
  return {};
}

// An exception on the work's thread would end the agent.
static Result<Json> call(const StreamedWork& work, Observer& observer, std::stop_token stop) {
  try {
    return work(observer, std::move(stop));
  } catch (const std::exception& exception) {
    return Error::internal(exception.what());
  }
}

static Result<void> run_and_stream(const std::string& result_name, const StreamedWork& work,
                                   std::stop_token server_stop, http::ResponseStream& stream) {
  BackupProgress progress;
  std::stop_source stop;
  const std::stop_callback forward(server_stop, [&] { stop.request_stop(); });
  std::optional<Result<Json>> result;
  std::jthread working([&] {
    result = call(work, progress, stop.get_token());
    progress.finish();
  });
  const auto written = write_progress(progress, stream);
  if (!written) stop.request_stop();
  working.join();
  TRY(Result<void>(written));
  if (!*result) return stream.write(to_line(to_json(result->error())));
  return stream.write(to_line({{"event", "done"}, {result_name, std::move(**result)}}));
}

http::Response stream_work(std::string result_name, StreamedWork work,
                           std::stop_token server_stop) {
  return http::Response::ndjson([result_name = std::move(result_name), work = std::move(work),
                                 server_stop](http::ResponseStream& stream) {
    return run_and_stream(result_name, work, server_stop, stream);
  });
}

// ---- The client's side
// ---------------------------------------------------------------------------

static Result<StreamEvent> read_event(const Json& json, const std::string& result_name) {
  StreamEvent event;
  const auto name = json.value("event", "");
  if (name == "phase") {
    event.kind = StreamEvent::Kind::kPhase;
    event.text = json.value("name", "");
    event.bytes = json.value("total_bytes", std::uint64_t{0});
  } else if (name == "progress") {
    event.bytes = json.value("done_bytes", std::uint64_t{0});
  } else if (name == "warning") {
    event.kind = StreamEvent::Kind::kWarning;
    event.text = json.value("message", "");
  } else if (name == "done") {
    event.kind = StreamEvent::Kind::kDone;
    event.result_json = json.at(result_name).dump();
  } else if (name == "error") {
    event.kind = StreamEvent::Kind::kError;
    Error error(http::parse_error_kind(json.value("kind", "")), json.value("message", ""));
    event.error = std::move(error).with_hint(json.value("hint", ""));
  } else {
    return Error::corrupt("the agent told an event that is not known: " + name);
  }
  return event;
}

Result<StreamEvent> parse_stream_event(std::string_view line, const std::string& result_name) {
  try {
    return read_event(Json::parse(line), result_name);
  } catch (const Json::exception& exception) {
    return Error::corrupt(fmt::format("the agent's line is malformed: {}", exception.what()));
  }
}

}  // namespace pitr
