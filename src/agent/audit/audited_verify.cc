#include "agent/audit/audited_verify.h"

namespace pitr {

Result<VerifyReport> verify_audited(Repository& repository, const std::string& cluster,
                                    const VerifyOptions& options, const AskedBy& asked_by,
                                    Observer& observer, const Clock& clock, std::stop_token stop) {
  const auto verify = [&] {
    return verify_cluster(repository, cluster, options, observer, clock, std::move(stop));
  };
  if (!options.record) return verify();
  auto entry = audit_entry(AuditedOperation::kVerify, cluster, asked_by);
  entry.details["depth"] = options.depth == VerifyDepth::kFull ? "full" : "quick";
  if (options.backup) entry.details["backup"] = options.backup->text();
  return AuditTrail(repository, clock).run(std::move(entry), [&](auto& details) {
    auto report = verify();
    if (!report) return report;
    details["findings"] = std::to_string(report->findings.size());
    if (report->was_stopped) details["stopped"] = "yes";
    return report;
  });
}

}  // namespace pitr
