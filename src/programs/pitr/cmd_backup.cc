#include "programs/pitr/cmd_backup.h"

#include <fmt/format.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "agent/api/job_options.h"
#include "agent/reports/status_json.h"
#include "agent/repository_access.h"
#include "programs/exit_codes.h"
#include "programs/pitr/agent_job.h"
#include "programs/pitr/backup_view.h"
#include "programs/stop_signals.h"
#include "programs/terminal_progress.h"

namespace pitr {

namespace {

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
  auto answered = TRY(run_agent_job(context, cluster->name, "backups", to_json_text(options),
                                    "backup", progress, signals.token()));
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
