#include "agent/backup_stream.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "agent/backup_progress.h"
#include "agent/status_json.h"
#include "common/log.h"

namespace pitr {

using Json = nlohmann::json;

static constexpr Milliseconds kProgressInterval{500};
static constexpr unsigned kMostWorkers = 256;
static constexpr std::size_t kLongestLabel = 1000;

// ---- Options
// -------------------------------------------------------------------------------------

static Result<void> read_option(const std::string& name, const Json& value,
                                BackupOptions& options) {
  using Method = BackupConfig::Method;
  if (name == "label" && value.is_string() && value.get<std::string>().size() <= kLongestLabel) {
    options.label = value.get<std::string>();
  } else if (name == "read" && (value == "full" || value == "independent")) {
    options.read = value == "full" ? ReadRequest::kFull : ReadRequest::kIndependent;
  } else if (name == "method" && (value == "local" || value == "remote")) {
    options.method = value == "local" ? Method::kLocal : Method::kRemote;
  } else if (name == "workers" && value.is_number_unsigned() && value >= 1 &&
             value <= kMostWorkers) {
    options.workers = value.get<unsigned>();
  } else if (name == "keep_server_manifest" && value.is_boolean()) {
    options.keep_server_manifest = value.get<bool>();
  } else {
    return Error::invalid(fmt::format("a backup cannot be asked for with {} = {}", name,
                                      value.dump(-1, ' ', false, Json::error_handler_t::replace)));
  }
  return {};
}

Result<BackupOptions> parse_backup_options(std::string_view body) {
  BackupOptions options;
  if (body.empty()) return options;
  const Json json = Json::parse(body, nullptr, false);
  if (!json.is_object()) return Error::invalid("the request's body is not a JSON object");
  for (const auto& [name, value] : json.items()) TRY(read_option(name, value, options));
  return options;
}

std::string to_json_text(const BackupOptions& options) {
  Json json = Json::object();
  if (!options.label.empty()) json["label"] = options.label;
  if (options.read == ReadRequest::kFull) json["read"] = "full";
  if (options.read == ReadRequest::kIndependent) json["read"] = "independent";
  if (options.method == BackupConfig::Method::kLocal) json["method"] = "local";
  if (options.method == BackupConfig::Method::kRemote) json["method"] = "remote";
  if (options.workers) json["workers"] = *options.workers;
  if (options.keep_server_manifest) json["keep_server_manifest"] = true;
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

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

static void log_end(const std::string& cluster, const Result<BackupManifest>& result) {
  if (!result) {
    return log::error("cluster {}: the backup failed: {}", cluster, result.error().message());
  }
  log::info("cluster {}: backup {} is complete: {} files, {} bytes, read {}, stored {} bytes; {}",
            cluster, result->id.text(), result->file_count, result->total_bytes, result->read_bytes,
            result->stored_bytes, result->reading_reason);
}

static Result<void> run_and_stream(ClusterService& service, const BackupOptions& options,
                                   std::stop_token server_stop, http::ResponseStream& stream) {
  BackupProgress progress;
  std::stop_source stop;
  const std::stop_callback forward(server_stop, [&] { stop.request_stop(); });
  std::optional<Result<BackupManifest>> result;
  std::jthread backup([&] {
    result = service.take_backup(options, progress, stop.get_token());
    log_end(service.config().name, *result);
    progress.finish();
  });
  const auto written = write_progress(progress, stream);
  if (!written) stop.request_stop();
  backup.join();
  TRY(Result<void>(written));
  if (!*result) return stream.write(to_line(to_json(result->error())));
  return stream.write(to_line({{"event", "done"}, {"backup", to_json(**result)}}));
}

http::Response stream_backup(ClusterService& service, BackupOptions options, std::stop_token stop) {
  return http::Response::ndjson(
      [&service, options = std::move(options), stop](http::ResponseStream& stream) {
        return run_and_stream(service, options, stop, stream);
      });
}

// ---- The client's side
// ---------------------------------------------------------------------------

static ErrorKind kind_of(const std::string& text) {
  for (const auto kind :
       {ErrorKind::kTransient, ErrorKind::kNotFound, ErrorKind::kConflict, ErrorKind::kCorrupt,
        ErrorKind::kInvalid, ErrorKind::kDenied, ErrorKind::kCancelled}) {
    if (to_string(kind) == text) return kind;
  }
  return ErrorKind::kInternal;
}

static Result<BackupEvent> read_event(const Json& json) {
  BackupEvent event;
  const auto name = json.value("event", "");
  if (name == "phase") {
    event.kind = BackupEvent::Kind::kPhase;
    event.text = json.value("name", "");
    event.bytes = json.value("total_bytes", std::uint64_t{0});
  } else if (name == "progress") {
    event.bytes = json.value("done_bytes", std::uint64_t{0});
  } else if (name == "warning") {
    event.kind = BackupEvent::Kind::kWarning;
    event.text = json.value("message", "");
  } else if (name == "done") {
    event.kind = BackupEvent::Kind::kDone;
    event.backup_json = json.at("backup").dump();
  } else if (name == "error") {
    event.kind = BackupEvent::Kind::kError;
    Error error(kind_of(json.value("kind", "")), json.value("message", ""));
    event.error = std::move(error).with_hint(json.value("hint", ""));
  } else {
    return Error::corrupt("the agent told an event that is not known: " + name);
  }
  return event;
}

Result<BackupEvent> parse_backup_event(std::string_view line) {
  try {
    return read_event(Json::parse(line));
  } catch (const Json::exception& exception) {
    return Error::corrupt(fmt::format("the agent's line is malformed: {}", exception.what()));
  }
}

}  // namespace pitr
