#include "programs/cmd_verify.h"

#include <unistd.h>

#include <nlohmann/json.hpp>

#include "agent/repository_access.h"
#include "config/units.h"
#include "programs/exit_codes.h"
#include "programs/find_backup.h"
#include "programs/stop_signals.h"
#include "programs/terminal_progress.h"
#include "programs/verify_view.h"

namespace pitr {
namespace {

int exit_code_of(const VerifyReport& report) {
  if (report.found_damage()) return exit_code(ErrorKind::kCorrupt);
  if (report.was_stopped) return exit_code(ErrorKind::kCancelled);
  if (!report.findings.empty()) return exit_code(report.findings.front().problem.kind());
  return report.unchecked_objects > 0 ? exit_code(ErrorKind::kTransient) : kExitSuccess;
}

// Damage weighs most; of others the first one counts.
int worse(int a, int b) {
  if (a == exit_code(ErrorKind::kCorrupt) || b == kExitSuccess) return a;
  return a == kExitSuccess || b == exit_code(ErrorKind::kCorrupt) ? b : a;
}

}  // namespace

Result<int> run_verify(const CommandContext& context, const VerifyArguments& arguments) {
  auto clusters = TRY(context.clusters());
  VerifyOptions options;
  options.depth = arguments.quick ? VerifyDepth::kQuick : VerifyDepth::kFull;
  options.workers = arguments.workers;
  options.record = !arguments.no_record;
  if (!arguments.max_rate.empty()) {
    options.max_rate_bytes_per_second =
        TRY(with_context(parse_rate(arguments.max_rate), "--max-rate"));
  }
  if (!arguments.budget.empty() || !arguments.period.empty()) options.cycle.emplace();
  if (!arguments.budget.empty()) {
    options.cycle->budget_bytes = TRY(with_context(parse_size(arguments.budget), "--budget"));
  }
  if (!arguments.period.empty()) {
    options.cycle->period = TRY(with_context(parse_duration(arguments.period), "--period"));
  }
  StopSignals signals;
  SystemClock clock;
  auto access = TRY(RepositoryAccess::open(context.config(), clock));
  if (!arguments.backup.empty()) {
    const auto* cluster = TRY(context.cluster());
    clusters = {cluster};
    options.backup = TRY(find_backup(access->repository(), cluster->name, arguments.backup)).id;
  }
  TerminalProgress progress(TerminalProgress::style_of(STDERR_FILENO));
  auto json = nlohmann::json::array();
  int code = kExitSuccess;
  for (const auto* cluster : clusters) {
    const auto report = TRY(verify_cluster(access->repository(), cluster->name, options, progress,
                                           clock, signals.token()));
    progress.finish();
    code = worse(code, exit_code_of(report));
    if (context.json()) {
      json.push_back(to_json(report, cluster->name));
    } else {
      print(verify_text(report, cluster->name));
    }
    if (report.was_stopped) break;
  }
  if (context.json()) print(nlohmann::json{{"clusters", std::move(json)}}.dump(2));
  return code;
}

}  // namespace pitr
