#include "retention/retention.h"

#include <fmt/format.h>

#include <algorithm>

#include "retention/tiers.h"
#include "retention/window.h"

namespace pitr {

std::string_view to_string(RetentionTier tier) {
  switch (tier) {
    case RetentionTier::kLast:
      return "last";
    case RetentionTier::kDaily:
      return "daily";
    case RetentionTier::kWeekly:
      return "weekly";
    case RetentionTier::kMonthly:
      return "monthly";
    case RetentionTier::kYearly:
      return "yearly";
    case RetentionTier::kWithin:
      return "window";
    case RetentionTier::kBase:
      return "window start";
    case RetentionTier::kPin:
      return "pin";
    case RetentionTier::kVerified:
      return "verified";
    case RetentionTier::kFuture:
      return "future";
  }
  return "?";
}

bool RetentionDecision::is_kept_for_good() const {
  return std::ranges::any_of(kept_by, [](const KeepReason& reason) {
    return reason.tier == RetentionTier::kPin && !reason.until;
  });
}

std::optional<Timestamp> RetentionDecision::until() const {
  std::optional<Timestamp> latest;
  if (is_kept_for_good()) return latest;
  for (const auto& reason : kept_by) {
    if (reason.until) latest = std::max(latest.value_or(*reason.until), *reason.until);
  }
  return latest;
}

bool RetentionPlan::keeps_wal(std::uint32_t incarnation, std::uint32_t timeline,
                              std::uint64_t first_lsn, std::uint64_t end_lsn) const {
  return std::ranges::any_of(wal, [&](const KeptWal& range) {
    return range.incarnation == incarnation && range.timeline == timeline &&
           range.from_lsn < end_lsn && first_lsn <= range.to_lsn;
  });
}

Result<RetentionPlan> plan_retention(const RetentionInput& input, const RetentionPolicy& policy) {
  if (policy.keep_last == 0) {
    return Error::invalid("a retention policy that keeps no last backup")
        .with_hint("keep_last must be at least 1");
  }
  if (policy.keep_within < Microseconds(0)) {
    return Error::invalid("keep_within of a retention policy is negative");
  }
  const auto zone = TRY(TimeZone::find(policy.time_zone));
  const auto order = order_backups(input);
  RetentionPlan plan;
  plan.window_start = input.now - policy.keep_within;
  plan.decisions.resize(input.backups.size());
  for (std::size_t i = 0; i < plan.decisions.size(); ++i) plan.decisions[i].backup = i;

  TierChoice tiers(input, policy, zone, order, plan.decisions);
  tiers.keep_last();
  tiers.keep_periods();
  keep_window(input, policy, order, zone, plan);
  tiers.keep_pinned();
  tiers.keep_verified();
  keep_own_wal(input, plan);
  join_wal(plan.wal);

  // For reading: oldest first, and reasons to go only where a backup goes.
  std::vector<RetentionDecision> ordered;
  for (const auto& indices : {order.counted, order.future}) {
    for (const auto i : indices) ordered.push_back(std::move(plan.decisions[i]));
  }
  plan.decisions = std::move(ordered);
  for (auto& decision : plan.decisions) {
    if (decision.keep()) decision.not_kept_by.clear();
  }
  if (policy.max_size_bytes && input.stored_bytes > *policy.max_size_bytes) {
    plan.size_warning = fmt::format(
        "{} bytes are stored, {} more than max_size allows; nothing is deleted for that: keep "
        "fewer backups or a shorter window, or raise it",
        input.stored_bytes, input.stored_bytes - *policy.max_size_bytes);
    plan.warnings.push_back(plan.size_warning);
  }
  return plan;
}

}  // namespace pitr
