#include "restore/plan/rewrite_mode.h"

#include <fmt/format.h>

namespace pitr {

std::string_view to_string(RewriteMode mode) {
  switch (mode) {
    case RewriteMode::kByFacts:
      return "by facts";
    case RewriteMode::kByDigest:
      return "by digest";
    case RewriteMode::kByBytes:
      return "by bytes";
  }
  return "by digest";
}

// Empty: hint bits were logged throughout.
static std::string why_hints_may_differ(const RewriteEvidence& evidence) {
  if (evidence.checksums_in_backup && evidence.checksums_now) return {};
  if (evidence.checksums_in_backup != evidence.checksums_now) {
    return fmt::format("data checksums were turned {} since the backup",
                       evidence.checksums_now ? "on" : "off");
  }
  if (evidence.hints_off) {
    return fmt::format("wal_log_hints was off for a time from {} on, and there are no checksums",
                       to_string(*evidence.hints_off));
  }
  if (evidence.hints_logged_in_backup && evidence.hints_logged_now) return {};
  return "hint bits are not logged: neither data checksums nor wal_log_hints were on all the time";
}

static std::string why_not_by_facts(const RewriteEvidence& evidence) {
  if (!evidence.unknown_history.empty()) return evidence.unknown_history;
  if (!evidence.is_ancestor)
    return "the backup doesn't lie on the cluster's own way to its last WAL";
  if (!evidence.not_covered.empty()) {
    return "the WAL's facts don't tell all changes: " + evidence.not_covered;
  }
  return why_hints_may_differ(evidence);
}

RewriteChoice choose_rewrite_mode(const RewriteEvidence& evidence) {
  auto reason = why_not_by_facts(evidence);
  if (reason.empty()) {
    return {RewriteMode::kByFacts,
            evidence.checksums_now
                ? "all changes since the backup are known, and checksums have hint bits logged"
                : "all changes since the backup are known, and wal_log_hints has hint bits logged"};
  }
  if (evidence.has_digests) return {RewriteMode::kByDigest, std::move(reason)};
  return {RewriteMode::kByBytes,
          reason + "; the backup has no digests, so all of it is read to compare"};
}

}  // namespace pitr
