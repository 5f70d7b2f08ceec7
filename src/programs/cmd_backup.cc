#include "programs/cmd_backup.h"

#include <fmt/format.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "agent/backup_stream.h"
#include "agent/repository_access.h"
#include "agent/status_json.h"
#include "programs/backup_view.h"
#include "programs/exit_codes.h"
#include "programs/stop_signals.h"
#include "programs/terminal_progress.h"

namespace pitr {

namespace {

// Draws what the agent tells.
class AgentBackup {
 public:
  explicit AgentBackup(TerminalProgress& progress) : progress_(progress) {}

  Result<void> take(std::string_view line) {
    auto event = TRY(parse_backup_event(line));
    switch (event.kind) {
      case BackupEvent::Kind::kPhase:
        progress_.phase(event.text, event.bytes);
        shown_bytes_ = 0;
        break;
      case BackupEvent::Kind::kProgress:
        if (event.bytes > shown_bytes_) progress_.advance(event.bytes - shown_bytes_);
        shown_bytes_ = std::max(shown_bytes_, event.bytes);
        break;
      case BackupEvent::Kind::kWarning:
        progress_.warn(event.text);
        break;
      case BackupEvent::Kind::kDone:
        backup_json_ = std::move(event.backup_json);
        break;
      case BackupEvent::Kind::kError:
        return *event.error;
    }
    return {};
  }

  Result<nlohmann::json> result() const {
    if (backup_json_.empty()) {
      return Error::transient("the agent ended before the backup was complete")
          .with_hint("\"pitr list\" shows whether it was published");
    }
    return parse_json(backup_json_);
  }

 private:
  TerminalProgress& progress_;
  std::uint64_t shown_bytes_ = 0;
  std::string backup_json_;
};

// nullopt: no agent answers.
Result<std::optional<nlohmann::json>> by_agent(const CommandContext& context,
                                               const ClusterConfig& cluster,
                                               const BackupOptions& options,
                                               TerminalProgress& progress, std::stop_token stop) {
  AgentBackup backup(progress);
  auto asked = context.stream_from_agent(
      fmt::format("/v1/clusters/{}/backups", http::percent_encode(cluster.name)),
      to_json_text(options), [&](std::string_view line) { return backup.take(line); }, stop);
  const bool answered = TRY(std::move(asked));
  if (!answered) return std::optional<nlohmann::json>();
  auto result = TRY(backup.result());
  return std::optional<nlohmann::json>(std::move(result));
}

Result<nlohmann::json> by_itself(const CommandContext& context, const ClusterConfig& cluster,
                                 const BackupOptions& options, TerminalProgress& progress,
                                 std::stop_token stop) {
  SystemClock clock;
  auto access = TRY(RepositoryAccess::open(context.config(), clock));
  ClusterService service(access->repository(), cluster, clock);
  service.start_streaming();
  const auto manifest = TRY(service.take_backup(options, progress, stop));
  return to_json(manifest);
}

}  // namespace

Result<int> run_backup(const CommandContext& context, const BackupOptions& options) {
  const auto* cluster = TRY(context.cluster());
  StopSignals signals;
  TerminalProgress progress(TerminalProgress::style_of(STDERR_FILENO));
  auto answered = TRY(by_agent(context, *cluster, options, progress, signals.token()));
  if (!answered) {
    if (!context.json()) {
      fmt::print(stderr, "No agent answers on {}: taking the backup without one.\n",
                 context.config().agent.socket.native());
    }
    answered = TRY(by_itself(context, *cluster, options, progress, signals.token()));
  }
  progress.finish();
  const auto& backup = *answered;
  print(context.json() ? backup.dump(2) : describe_new_backup(backup));
  const bool is_suspect = backup.value("checksum_failure_count", std::uint64_t{0}) > 0 ||
                          backup.value(nlohmann::json::json_pointer("/promise/unexplained_count"),
                                       std::uint64_t{0}) > 0;
  return is_suspect ? exit_code(ErrorKind::kCorrupt) : kExitSuccess;
}

}  // namespace pitr
