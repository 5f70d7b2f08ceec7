#include "agent/events/cluster_events.h"

#include <fmt/format.h>

#include <algorithm>

#include "agent/reports/status.h"
#include "common/readable.h"

namespace pitr {

void ClusterEvents::publish(Event event) const {
  if (sink_ == nullptr) return;
  event.time = clock_.now();
  event.cluster = cluster_;
  sink_->publish(std::move(event));
}

void ClusterEvents::publish(EventType type, std::string message,
                            std::map<std::string, std::string> details) const {
  Event event;
  event.type = type;
  event.message = std::move(message);
  event.details = std::move(details);
  publish(std::move(event));
}

void ClusterEvents::publish_failure(EventType type, const std::string& what,
                                    const Error& error) const {
  if (error.kind() == ErrorKind::kCancelled) return;
  std::map<std::string, std::string> details{{"error", error.message()},
                                             {"kind", std::string(to_string(error.kind()))}};
  if (!error.hint().empty()) details["fix"] = error.hint();
  publish(type, what + ": " + error.message(), std::move(details));
}

// ---- Jobs
// ----------------------------------------------------------------------------------------

void ClusterEvents::backup_ended(const Result<BackupManifest>& result) const {
  if (!result) {
    return publish_failure(EventType::kBackupFailure, "a backup failed", result.error());
  }
  const auto& backup = *result;
  std::map<std::string, std::string> details{{"backup", backup.id.text()},
                                             {"type", std::string(backup_type(backup))},
                                             {"read_bytes", std::to_string(backup.read_bytes)},
                                             {"stored_bytes", std::to_string(backup.stored_bytes)},
                                             {"total_bytes", std::to_string(backup.total_bytes)},
                                             {"start_time", to_string(backup.start_time)},
                                             {"stop_time", to_string(backup.stop_time)}};
  if (!backup.label.empty()) details["label"] = backup.label;
  auto message = fmt::format("backup {} is complete: {}, {} read, {} stored", backup.id.text(),
                             backup_type(backup), format_bytes(backup.read_bytes),
                             format_bytes(backup.stored_bytes));
  if (backup.checksum_failure_count > 0) {
    details["checksum_failures"] = std::to_string(backup.checksum_failure_count);
    message += fmt::format("; {} pages have wrong checksums", backup.checksum_failure_count);
  }
  if (backup.promise.unexplained_count > 0) {
    details["unexplained_blocks"] = std::to_string(backup.promise.unexplained_count);
    message += fmt::format("; {} blocks changed without WAL", backup.promise.unexplained_count);
  }
  publish(EventType::kBackupCreated, std::move(message), std::move(details));
}

void ClusterEvents::expire_ended(const Result<ExpireReport>& result) const {
  if (!result) return publish_failure(EventType::kExpireFailure, "expiry failed", result.error());
  publish(EventType::kExpireCompleted,
          fmt::format("expiry let {} backup{} go and deleted {}", result->dropped_backups,
                      result->dropped_backups == 1 ? "" : "s", format_bytes(result->deleted.bytes)),
          {{"dropped_backups", std::to_string(result->dropped_backups)},
           {"deleted_objects", std::to_string(result->deleted.objects)},
           {"deleted_bytes", std::to_string(result->deleted.bytes)}});
  const auto& size_warning = result->plan.size_warning;
  if (size_warning.empty()) return;
  publish(EventType::kStorageLow, size_warning, {{"subject", "max_size"}});
}

void ClusterEvents::verification_ended(const Result<VerifyReport>& result) const {
  if (!result) {
    return publish_failure(EventType::kVerificationFailed, "verification was not possible",
                           result.error());
  }
  const auto& report = *result;
  if (report.was_stopped) return;
  std::map<std::string, std::string> details{
      {"depth", report.depth == VerifyDepth::kFull ? "full" : "quick"},
      {"checked_objects", std::to_string(report.checked_objects)},
      {"checked_bytes", std::to_string(report.checked_bytes)},
      {"findings", std::to_string(report.findings.size())}};
  if (report.findings.empty()) {
    return publish(EventType::kVerificationCompleted,
                   fmt::format("{} in {} objects are right", format_bytes(report.checked_bytes),
                               report.checked_objects),
                   std::move(details));
  }
  const auto& first = report.findings.front();
  details["object"] = first.object;
  details["fix"] = "\"pitr verify\" names what is damaged, with the backups that it touches";
  publish(EventType::kVerificationFailed,
          fmt::format("{} object{} {} not right; {} is {}: {}", report.findings.size(),
                      report.findings.size() == 1 ? "" : "s",
                      report.findings.size() == 1 ? "is" : "are", first.object,
                      to_string(first.kind), first.problem.message()),
          std::move(details));
}

// ---- Checks
// --------------------------------------------------------------------------------------

static bool is_trouble(const Finding& finding) {
  return finding.severity != Severity::kOk && finding.subject != kStreamingSubject;
}

static bool has_trouble(const Findings& findings, const std::string& subject) {
  return std::ranges::any_of(findings.all(), [&](const Finding& finding) {
    return is_trouble(finding) && finding.subject == subject;
  });
}

static bool has_same(const Findings& findings, const Finding& wanted) {
  return std::ranges::any_of(findings.all(), [&](const Finding& finding) {
    return finding.subject == wanted.subject && finding.severity == wanted.severity;
  });
}

void ClusterEvents::check_ended(const Findings& before, const Findings& after) const {
  for (const auto& finding : after.all()) {
    if (!is_trouble(finding) || has_same(before, finding)) continue;
    publish(
        finding.subject == kFreeSpaceSubject ? EventType::kStorageLow : EventType::kCheckProblem,
        fmt::format("{} with {}: {}", to_string(finding.severity), finding.subject,
                    finding.message),
        {{"subject", finding.subject},
         {"level", std::string(to_string(finding.severity))},
         {"fix", finding.fix}});
  }
  for (const auto& finding : before.all()) {
    if (!is_trouble(finding) || has_trouble(after, finding.subject)) continue;
    publish(EventType::kCheckResolved,
            fmt::format("no {} with {} any more", to_string(finding.severity), finding.subject),
            {{"subject", finding.subject}});
  }
}

}  // namespace pitr
