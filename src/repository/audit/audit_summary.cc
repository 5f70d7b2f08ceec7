#include "repository/audit/audit_summary.h"

#include <fmt/format.h>

#include <chrono>

namespace pitr {

std::string quarter_of(Timestamp time) {
  const std::chrono::sys_time<Microseconds> point{Microseconds(time.unix_us())};
  const std::chrono::year_month_day date{std::chrono::floor<std::chrono::days>(point)};
  return fmt::format("{:04}-Q{}", static_cast<int>(date.year()),
                     (static_cast<unsigned>(date.month()) + 2) / 3);
}

static bool wants_reason(AuditedOperation operation) {
  return operation == AuditedOperation::kRestore || operation == AuditedOperation::kUnpin;
}

void AuditSummary::add(const AuditEntry& entry) {
  const auto name = quarter_of(entry.time);
  auto& quarter = quarters_[name];
  quarter.name = name;
  auto& count = quarter.operations[entry.operation];
  ++(entry.succeeded() ? count.succeeded : count.failed);
  ++quarter.users[entry.actor.user];
  if (entry.reason.empty() && wants_reason(entry.operation)) ++quarter.without_reason;
}

}  // namespace pitr
