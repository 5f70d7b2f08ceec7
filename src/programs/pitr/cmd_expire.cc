#include "programs/pitr/cmd_expire.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdlib>
#include <nlohmann/json.hpp>

#include "agent/api/job_options.h"
#include "agent/audit/audited_expire.h"
#include "agent/reports/expire_json.h"
#include "agent/reports/find_backup.h"
#include "agent/repository_access.h"
#include "config/units.h"
#include "programs/exit_codes.h"
#include "programs/pitr/agent_job.h"
#include "programs/pitr/expire_view.h"
#include "programs/stop_signals.h"
#include "repository/expire/pins.h"
#include "restore/plan/timestamp_text.h"

namespace pitr {
namespace {

AuditEntry pin_entry(const CommandContext& context, AuditedOperation operation,
                     const FoundBackup& backup, const std::string& label) {
  AuditEntry entry;
  entry.operation = operation;
  entry.cluster = backup.store.id().cluster;
  entry.reason = context.reason();
  entry.details["backup"] = backup.id.text();
  if (!label.empty()) entry.details["label"] = label;
  return entry;
}

Result<std::size_t> unpin(const FoundBackup& backup, const std::string& label,
                          std::map<std::string, std::string>& details) {
  const auto removed = TRY(unpin_backup(backup.store, backup.id, label));
  details["pins"] = std::to_string(removed);
  if (removed > 0) return removed;
  return Error::not_found(label.empty() ? fmt::format("{} isn't pinned", backup.id.text())
                                        : fmt::format("{} has no pin {}", backup.id.text(), label))
      .with_hint("\"pitr expire --dry-run\" shows the pins");
}

std::optional<std::string> environment(const char* name) {
  const char* value = std::getenv(name);
  return value ? std::optional<std::string>(value) : std::nullopt;
}

}  // namespace

static Result<nlohmann::json> expire_here(const CommandContext& context,
                                          const ClusterConfig& cluster, bool dry_run,
                                          std::stop_token stop) {
  SystemClock clock;
  auto access = TRY(RepositoryAccess::open(context.config(), clock));
  auto options = expire_options(cluster.retention);
  options.dry_run = dry_run;
  const auto report = TRY(expire_audited(access->repository(), cluster.name, options,
                                         {context.reason(), {}}, clock, std::move(stop)));
  return to_json(report, cluster.name, dry_run);
}

// The agent waits for the cluster's turn, and deletes only by the policy that is in the file now. A
// dry run only reads: the file's policy counts, whatever the agent has loaded.
static Result<nlohmann::json> expire_one(const CommandContext& context,
                                         const ClusterConfig& cluster, bool dry_run,
                                         TerminalProgress& progress, std::stop_token stop) {
  if (dry_run) return expire_here(context, cluster, dry_run, stop);
  const ExpireRequest request{false, policy_text(cluster.retention), context.reason()};
  auto report = TRY(run_agent_job(context, cluster.name, "expire", to_json_text(request), "report",
                                  progress, stop));
  progress.finish();
  if (report) return std::move(*report);
  return expire_here(context, cluster, dry_run, stop);
}

Result<int> run_expire(const CommandContext& context, const ExpireArguments& arguments) {
  const auto clusters = TRY(context.clusters());
  StopSignals signals;
  TerminalProgress progress(TerminalProgress::style_of(STDERR_FILENO));
  auto json = nlohmann::json::array();
  int worst = kExitSuccess;
  for (const auto* cluster : clusters) {
    auto report = expire_one(context, *cluster, arguments.dry_run, progress, signals.token());
    if (!report) {  // the others' turn comes all the same
      progress.finish();
      worst = report_error(std::move(report).error().with_context("cluster " + cluster->name));
      if (signals.token().stop_requested()) break;
      continue;
    }
    if (context.json()) {
      json.push_back(std::move(*report));
      continue;
    }
    const auto zone = TRY(TimeZone::find(cluster->retention.time_zone));
    print(expire_text(*report, zone));
  }
  if (context.json()) print(nlohmann::json{{"clusters", std::move(json)}}.dump(2));
  return worst;
}

Result<int> run_pin(const CommandContext& context, const PinArguments& arguments) {
  const auto* cluster = TRY(context.cluster());
  SystemClock clock;
  std::optional<Timestamp> expires;
  if (!arguments.until.empty()) {
    const auto zone = TRY(local_zone_name(environment));
    expires = TRY(parse_timestamp(arguments.until, zone)).time;
    if (*expires <= clock.now()) return Error::invalid("--until lies in the past");
  }
  auto access = TRY(RepositoryAccess::open(context.config(), clock));
  const auto backup = TRY(find_backup(access->repository(), cluster->name, arguments.backup));
  auto entry = pin_entry(context, AuditedOperation::kPin, backup, arguments.label);
  if (expires) entry.details["until"] = to_string(*expires);
  TRY(AuditTrail(access->repository(), clock).run(std::move(entry), [&](auto&) {
    return pin_backup(backup.store, backup.id, arguments.label, expires);
  }));
  print(fmt::format("{} is pinned as {}{}", backup.id.text(), arguments.label,
                    expires ? " until " + to_string(*expires) : std::string()));
  return kExitSuccess;
}

Result<int> run_unpin(const CommandContext& context, const PinArguments& arguments) {
  const auto* cluster = TRY(context.cluster());
  SystemClock clock;
  auto access = TRY(RepositoryAccess::open(context.config(), clock));
  const auto backup = TRY(find_backup(access->repository(), cluster->name, arguments.backup));
  const auto removed =
      TRY(AuditTrail(access->repository(), clock)
              .run(pin_entry(context, AuditedOperation::kUnpin, backup, arguments.label),
                   [&](auto& details) { return unpin(backup, arguments.label, details); }));
  print(fmt::format("{}: {} pin{} taken away; the policy decides now", backup.id.text(), removed,
                    removed == 1 ? "" : "s"));
  return kExitSuccess;
}

Result<int> run_retention_simulate(const CommandContext& context,
                                   const SimulateArguments& arguments) {
  const auto* cluster = TRY(context.cluster());
  const auto every = TRY(with_context(parse_duration(arguments.every), "--every"));
  if (every < std::chrono::minutes(10)) {
    return Error::invalid("--every must be at least 10min");
  }
  const auto policy = retention_policy(cluster->retention);
  const auto zone = TRY(TimeZone::find(policy.time_zone));
  const auto simulated =
      TRY(simulate_retention(policy, SystemClock().now(), arguments.days, every));
  print(context.json() ? to_json(simulated).dump(2) : simulation_text(to_json(simulated), zone));
  return kExitSuccess;
}

}  // namespace pitr
