#include "programs/pitr/agent_job.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "agent/api/progress_stream.h"
#include "agent/reports/status_json.h"

namespace pitr {
namespace {

// Draws what the agent tells.
class WatchedJob {
 public:
  WatchedJob(std::string result_name, TerminalProgress& progress)
      : result_name_(std::move(result_name)), progress_(progress) {}

  Result<void> take(std::string_view line) {
    auto event = TRY(parse_stream_event(line, result_name_));
    switch (event.kind) {
      case StreamEvent::Kind::kPhase:
        progress_.phase(event.text, event.bytes);
        shown_bytes_ = 0;
        break;
      case StreamEvent::Kind::kProgress:
        if (event.bytes > shown_bytes_) progress_.advance(event.bytes - shown_bytes_);
        shown_bytes_ = std::max(shown_bytes_, event.bytes);
        break;
      case StreamEvent::Kind::kWarning:
        progress_.warn(event.text);
        break;
      case StreamEvent::Kind::kDone:
        result_json_ = std::move(event.result_json);
        break;
      case StreamEvent::Kind::kError:
        return *event.error;
    }
    return {};
  }

  Result<nlohmann::json> result() const {
    if (!result_json_.empty()) return parse_json(result_json_);
    return Error::transient("the agent ended before the " + result_name_ + " was complete")
        .with_hint("its log says why; \"pitr status\" shows how far it came");
  }

 private:
  const std::string result_name_;
  TerminalProgress& progress_;
  std::uint64_t shown_bytes_ = 0;
  std::string result_json_;
};

}  // namespace

Result<std::optional<nlohmann::json>> run_agent_job(const CommandContext& context,
                                                    const std::string& cluster,
                                                    const std::string& job, std::string body,
                                                    const std::string& result_name,
                                                    TerminalProgress& progress,
                                                    std::stop_token stop) {
  WatchedJob watched(result_name, progress);
  auto asked = context.stream_from_agent(
      fmt::format("/v1/clusters/{}/{}", http::percent_encode(cluster), job), std::move(body),
      [&](std::string_view line) { return watched.take(line); }, std::move(stop));
  const bool answered = TRY(std::move(asked));
  if (!answered) return std::optional<nlohmann::json>();
  auto result = TRY(watched.result());
  return std::optional<nlohmann::json>(std::move(result));
}

}  // namespace pitr
