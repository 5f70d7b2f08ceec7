#include "programs/pitr/cmd_verify.h"

#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "agent/api/job_options.h"
#include "agent/audit/audited_verify.h"
#include "agent/reports/find_backup.h"
#include "agent/reports/verify_json.h"
#include "agent/repository_access.h"
#include "config/units.h"
#include "programs/exit_codes.h"
#include "programs/pitr/agent_job.h"
#include "programs/pitr/verify_view.h"
#include "programs/stop_signals.h"
#include "programs/terminal_progress.h"

namespace pitr {
namespace {

using Json = nlohmann::json;

int exit_code_of(const Json& report) {
  const auto& findings = report.at("findings");
  const bool has_damage = std::ranges::any_of(
      findings, [](const Json& finding) { return finding.at("found") != "unchecked"; });
  if (has_damage) return exit_code(ErrorKind::kCorrupt);
  if (report.at("stopped").get<bool>()) return exit_code(ErrorKind::kCancelled);
  if (!findings.empty()) {
    return exit_code(http::parse_error_kind(findings.front().at("error").get<std::string>()));
  }
  return report.at("unchecked_objects") > 0 ? exit_code(ErrorKind::kTransient) : kExitSuccess;
}

// Damage weighs most; of others the first one counts.
int worse(int a, int b) {
  if (a == exit_code(ErrorKind::kCorrupt) || b == kExitSuccess) return a;
  return a == kExitSuccess || b == exit_code(ErrorKind::kCorrupt) ? b : a;
}

Result<VerifyRequest> request_of(const CommandContext& context, const VerifyArguments& arguments) {
  VerifyRequest request;
  auto& options = request.options;
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
  request.backup = arguments.backup;
  request.reason = context.reason();
  return request;
}

Result<Json> by_itself(const CommandContext& context, const std::string& cluster,
                       const VerifyRequest& request, Observer& progress, std::stop_token stop) {
  SystemClock clock;
  auto access = TRY(RepositoryAccess::open(context.config(), clock));
  auto options = request.options;
  if (!request.backup.empty()) {
    options.backup = TRY(find_backup(access->repository(), cluster, request.backup)).id;
  }
  const auto report = TRY(verify_audited(access->repository(), cluster, options,
                                         {request.reason, {}}, progress, clock, std::move(stop)));
  return to_json(report, cluster);
}

Result<Json> verify_one(const CommandContext& context, const std::string& cluster,
                        const VerifyRequest& request, TerminalProgress& progress,
                        std::stop_token stop) {
  auto report = TRY(
      run_agent_job(context, cluster, "verify", to_json_text(request), "report", progress, stop));
  if (report) return std::move(*report);
  return by_itself(context, cluster, request, progress, stop);
}

}  // namespace

Result<int> run_verify(const CommandContext& context, const VerifyArguments& arguments) {
  auto clusters = TRY(context.clusters());
  const auto request = TRY(request_of(context, arguments));
  if (!arguments.backup.empty()) {
    const auto* cluster = TRY(context.cluster());
    clusters = {cluster};
  }
  StopSignals signals;
  TerminalProgress progress(TerminalProgress::style_of(STDERR_FILENO));
  auto json = Json::array();
  int code = kExitSuccess;
  for (const auto* cluster : clusters) {
    auto report = verify_one(context, cluster->name, request, progress, signals.token());
    progress.finish();
    if (!report) {  // the others' turn comes all the same
      code = worse(
          code, report_error(std::move(report).error().with_context("cluster " + cluster->name)));
      if (signals.token().stop_requested()) break;
      continue;
    }
    code = worse(code, exit_code_of(*report));
    const bool was_stopped = report->at("stopped").get<bool>();
    if (context.json()) {
      json.push_back(std::move(*report));
    } else {
      print(verify_text(*report));
    }
    if (was_stopped) break;
  }
  if (context.json()) print(Json{{"clusters", std::move(json)}}.dump(2));
  return code;
}

}  // namespace pitr
