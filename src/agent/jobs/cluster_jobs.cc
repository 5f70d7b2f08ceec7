#include "agent/jobs/cluster_jobs.h"

#include <fmt/format.h>

#include <algorithm>
#include <ranges>

#include "agent/audit/audited_verify.h"
#include "agent/checks/check_server.h"
#include "agent/checks/check_stored.h"
#include "agent/repository_access.h"
#include "common/log.h"
#include "common/readable.h"
#include "repository/backup/backup_reader.h"
#include "repository/incarnations.h"

namespace pitr {
namespace {

// Nobody watches, but warnings are for the log.
class LoggedWarnings final : public Observer {
 public:
  explicit LoggedWarnings(std::string cluster) : cluster_(std::move(cluster)) {}
  void phase(std::string_view, std::uint64_t) override {}
  void advance(std::uint64_t) override {}
  void warn(std::string_view message) override {
    log::warning("cluster {}: {}", cluster_, message);
  }

 private:
  const std::string cluster_;
};

SeenStreaming streaming_of(const ServiceStatus& status) {
  if (!status.receiver) return {};
  const auto& receiver = *status.receiver;
  const bool is_behind = receiver.server_lsn > receiver.durable_lsn;
  return {std::string(to_string(receiver.state)), receiver.last_error,
          is_behind ? receiver.server_lsn - receiver.durable_lsn : 0};
}

}  // namespace

Result<std::string> ClusterJobs::run(JobKind kind, std::stop_token stop) {
  const auto started = clock_.now();
  auto result = run_one(kind, std::move(stop));
  count(kind, result ? Outcome::kSuccess : outcome_of(result.error()), started);
  return result;
}

void ClusterJobs::count(JobKind kind, Outcome outcome, Timestamp started) {
  service_.counters().jobs.record(kind, outcome, started, clock_.now());
}

Result<std::string> ClusterJobs::run_one(JobKind kind, std::stop_token stop) {
  switch (kind) {
    case JobKind::kCheck:
      return check(stop);
    case JobKind::kIndependent:
      return back_up(ReadRequest::kIndependent, stop);
    case JobKind::kBackup:
      return back_up(ReadRequest::kAuto, stop);
    case JobKind::kExpire:
      return expire(stop);
    case JobKind::kVerify:
      return verify(stop);
  }
  return Error::internal("a job that is not known");
}

void ClusterJobs::could_not_begin(JobKind, const Error& error) {
  service_.events().backup_ended(error);
}

// The newest incarnation's: another database of the same name needs a backup of its own. Backups
// of the future were taken when the clock was wrong, and tell nothing.
Result<std::optional<Timestamp>> ClusterJobs::last_backup(JobKind kind, Timestamp now) {
  const auto store = newest_incarnation(repository_, service_.config().name);
  if (!store && store.error().kind() == ErrorKind::kNotFound) return std::optional<Timestamp>();
  if (!store) return store.error();
  const BackupCatalog catalog(*store);
  const auto ids = TRY(catalog.list());
  for (auto id = ids.rbegin(); id != ids.rend(); ++id) {
    if (id->start_time() > now) continue;
    if (kind == JobKind::kIndependent) {
      const auto manifest = TRY(catalog.manifest(*id));
      if (manifest.reading != BackupReading::kEverything) continue;
    }
    return std::optional(id->start_time());
  }
  return std::optional<Timestamp>();
}

Result<std::string> ClusterJobs::back_up(ReadRequest read, std::stop_token stop) {
  BackupOptions options;
  options.read = read;
  LoggedWarnings observer(service_.config().name);
  const auto backup = TRY(service_.take_backup_in_turn(options, observer, stop));
  return fmt::format("{} is complete: {} read, {} stored; {}", backup.id.text(),
                     format_bytes(backup.read_bytes), format_bytes(backup.stored_bytes),
                     backup.reading_reason);
}

Result<std::string> ClusterJobs::expire(std::stop_token stop) {
  const auto report = TRY(service_.expire_in_turn({}, std::move(stop)));
  for (const auto& warning : report.warnings) {
    log::warning("cluster {}: expiry: {}", service_.config().name, warning);
  }
  return fmt::format(
      "{} backup{} let go, {} deleted, {} in trash", report.dropped_backups,
      report.dropped_backups == 1 ? "" : "s", format_bytes(report.deleted.bytes),
      format_bytes(report.waiting.bytes + report.unneeded_files.bytes + report.unneeded_wal.bytes));
}

// Of a report: what it comes down to.
static Result<std::string> verdict_of(const VerifyReport& report) {
  if (report.was_stopped) return Error::cancelled("the verification was stopped");
  if (report.found_damage()) {
    return Error::corrupt(fmt::format("{} objects are damaged or missing, {} first",
                                      report.findings.size(), report.findings.front().object))
        .with_hint("\"pitr verify\" names them with the backups that they touch");
  }
  if (!report.findings.empty()) return report.findings.front().problem;
  return fmt::format("{} in {} objects are right", format_bytes(report.checked_bytes),
                     report.checked_objects);
}

// "; backups A, B and 3 more need it"
static std::string backups_text(const VerifyFinding& finding) {
  constexpr std::size_t kMostNamed = 5;
  if (finding.backups.empty()) return "";
  std::string names;
  for (const auto& backup : finding.backups | std::views::take(kMostNamed)) {
    names += (names.empty() ? "" : ", ") + backup.text();
  }
  const auto more = finding.backups.size() - std::min(finding.backups.size(), kMostNamed);
  return fmt::format("; needed by {}{}", names, more == 0 ? "" : fmt::format(" and {} more", more));
}

static void log_findings(const std::string& cluster, const VerifyReport& report) {
  for (const auto& finding : report.findings) {
    log::error("cluster {}: {} is {}: {}{}", cluster, finding.object, to_string(finding.kind),
               finding.problem.message(), backups_text(finding));
  }
}

Result<std::string> ClusterJobs::verify(std::stop_token stop) {
  LoggedWarnings observer(service_.config().name);
  const auto report = verify_audited(repository_, service_.config().name, service_.verify_options(),
                                     {}, observer, clock_, std::move(stop));
  service_.events().verification_ended(report);
  if (!report) return report.error();
  if (!report->was_stopped) log_findings(service_.config().name, *report);
  return verdict_of(*report);
}

// ---- By hand
// -------------------------------------------------------------------------------------

Result<JobTurn::Holder> ClusterJobs::take_turn(std::string what, Observer& observer,
                                               std::stop_token stop) {
  return service_.turn().take(std::move(what), std::move(stop), [&](const std::string& other) {
    observer.phase(fmt::format("waiting for {} to end", other), 0);
  });
}

Result<VerifyReport> ClusterJobs::verify_now(const VerifyOptions& options, const AskedBy& asked_by,
                                             Observer& observer, std::stop_token stop) {
  const auto turn = TRY(take_turn("a verification", observer, stop));
  const auto started = clock_.now();
  auto report = verify_audited(repository_, service_.config().name, options, asked_by, observer,
                               clock_, stop);
  if (report) log_findings(service_.config().name, *report);
  if (options.record) service_.events().verification_ended(report);
  if (options.depth == VerifyDepth::kFull && options.record && !options.backup) {
    const auto verdict = report ? verdict_of(*report) : Result<std::string>(report.error());
    count(JobKind::kVerify, verdict ? Outcome::kSuccess : outcome_of(verdict.error()), started);
  }
  return report;
}

Result<ExpireReport> ClusterJobs::expire_now(const AskedBy& asked_by, Observer& observer,
                                             std::stop_token stop) {
  const auto turn = TRY(take_turn("expiry", observer, stop));
  const auto started = clock_.now();
  auto report = service_.expire_in_turn(asked_by, stop);
  count(JobKind::kExpire, report ? Outcome::kSuccess : outcome_of(report.error()), started);
  return report;
}

Result<ExpireReport> ClusterJobs::show_expire() {
  auto options = expire_options(service_.retention_config());
  options.dry_run = true;
  return expire_cluster(repository_, service_.config().name, options, clock_);
}

Result<std::string> ClusterJobs::check(std::stop_token stop) {
  const auto& config = service_.config();
  CheckReport report;
  report.time = clock_.now();
  report.findings.begin(config.name);
  const auto server = check_server(config, clock_, stop, report.findings);
  check_streaming(streaming_of(service_.status()), report.findings);
  check_storage(repository_.storage(), clock_, report.findings);
  check_stored(repository_, config, server, clock_, report.findings);
  if (stop.stop_requested()) return Error::cancelled("the check was stopped");
  auto text = fmt::format("{} problems, {} warnings", report.findings.count(Severity::kProblem),
                          report.findings.count(Severity::kWarning));
  service_.note_check(std::move(report));
  return text;
}

}  // namespace pitr
