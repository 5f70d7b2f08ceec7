#include "agent/audit/audited_expire.h"

namespace pitr {

// Many may go at once when a policy is changed: the first ones are enough for people.
static constexpr std::size_t kMostNamedBackups = 200;

static std::string dropped_backups(const ExpireReport& report) {
  std::string names;
  std::size_t named = 0;
  for (const auto& decision : report.plan.decisions) {
    const auto& backup = report.backups[decision.backup];
    if (decision.keep() || !backup.held.empty() || ++named > kMostNamedBackups) continue;
    names += (names.empty() ? "" : " ") + backup.id.text();
  }
  return names;
}

Result<ExpireReport> expire_audited(Repository& repository, const std::string& cluster,
                                    const ExpireOptions& options, const AskedBy& asked_by,
                                    const Clock& clock, std::stop_token stop) {
  if (options.dry_run) return expire_cluster(repository, cluster, options, clock, stop);
  auto entry = audit_entry(AuditedOperation::kExpire, cluster, asked_by);
  return AuditTrail(repository, clock).run(std::move(entry), [&](auto& details) {
    auto report = expire_cluster(repository, cluster, options, clock, stop);
    if (!report) return report;
    details["dropped_backups"] = std::to_string(report->dropped_backups);
    if (report->dropped_backups > 0) details["backups"] = dropped_backups(*report);
    details["deleted_objects"] = std::to_string(report->deleted.objects);
    details["deleted_bytes"] = std::to_string(report->deleted.bytes);
    return report;
  });
}

}  // namespace pitr
