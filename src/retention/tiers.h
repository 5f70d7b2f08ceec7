// The tiers that count: last, daily to yearly, pins and verified ones. Internal to retention/.
#pragma once

#include <vector>

#include "common/time_zone.h"
#include "retention/retention.h"

namespace pitr {

// The backups of an input in order of time; those that ended after now stand aside.
struct OrderedBackups {
  std::vector<std::size_t> counted;  // indices, oldest first
  std::vector<std::size_t> future;
};
OrderedBackups order_backups(const RetentionInput& input);

// One decision per backup of the input, at the same index.
class TierChoice {
 public:
  TierChoice(const RetentionInput& input, const RetentionPolicy& policy, const TimeZone& zone,
             const OrderedBackups& order, std::vector<RetentionDecision>& decisions)
      : input_(input), policy_(policy), zone_(zone), order_(order), decisions_(decisions) {}

  void keep_last();
  void keep_periods();
  void keep_pinned();
  // After all others: fills up.
  void keep_verified();

 private:
  void keep(std::size_t backup, RetentionTier tier, std::string detail,
            std::optional<Timestamp> until);
  void pass_over(std::size_t backup, std::string reason);

  const RetentionInput& input_;
  const RetentionPolicy& policy_;
  const TimeZone& zone_;
  const OrderedBackups& order_;
  std::vector<RetentionDecision>& decisions_;
};

}  // namespace pitr
