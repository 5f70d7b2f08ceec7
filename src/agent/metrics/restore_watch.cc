#include "agent/metrics/restore_watch.h"

#include <algorithm>

namespace pitr {

void RestoreWatch::take(const AuditEntry& entry) {
  if (!recent_.emplace(entry.time, to_json_line(entry)).second) return;
  auto& counts = counts_[entry.cluster];
  auto& last = entry.succeeded() ? counts.last_success : counts.last_failure;
  last = std::max(last, entry.time);
  if (entry.time >= began_) ++(entry.succeeded() ? counts.succeeded : counts.failed);
}

Result<RestoresByCluster> RestoreWatch::look(Timestamp now) {
  AuditFilter filter;
  filter.operation = AuditedOperation::kRestore;
  filter.from = looked_ ? *looked_ - kOverlap : began_ - kLookBack;
  TRY(log_.read(filter, [&](const AuditEntry& entry) { take(entry); }));
  looked_ = now;
  // What lies before the next look's beginning is never seen again.
  std::erase_if(recent_, [&](const Identity& each) { return each.first < now - kOverlap; });
  return counts_;
}

}  // namespace pitr
