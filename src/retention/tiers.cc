#include "retention/tiers.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <tuple>

#include "retention/periods.h"

namespace pitr {

namespace {

// What the clocks of servers and of pitr's host may differ by without anything being wrong.
constexpr Microseconds kClockTolerance = std::chrono::hours(1);

struct PeriodTier {
  RetentionTier tier;
  PeriodUnit unit;
  unsigned keep;
};

// By time; where a clock stood still or was stepped, by position.
auto order_of(const RetentionBackup& backup) {
  return std::tie(backup.stop_time, backup.incarnation, backup.timeline, backup.stop_lsn,
                  backup.id);
}

// Of a period with backups: the last one of each incarnation, since a database can't be put back
// with another one's backup.
using LastOfPeriod = std::map<std::uint32_t, std::size_t>;

// When so many periods with backups can have begun at the earliest that this one is no longer among
// those that count. None while a backup of the same period can take its place.
std::optional<Timestamp> counted_until(const TimeZone& zone, PeriodUnit unit, std::int64_t period,
                                       std::int64_t newest, unsigned newer_needed, Timestamp now) {
  const auto current = period_of(zone, unit, now);
  if (period >= current) return std::nullopt;
  const auto last_needed = std::max(newest, current - 1) + newer_needed;
  return std::max(now, start_of_period(zone, unit, last_needed));
}

}  // namespace

OrderedBackups order_backups(const RetentionInput& input) {
  OrderedBackups order;
  for (std::size_t i = 0; i < input.backups.size(); ++i) {
    const bool is_future = input.backups[i].stop_time > input.now + kClockTolerance;
    (is_future ? order.future : order.counted).push_back(i);
  }
  std::ranges::sort(order.counted, {}, [&](auto i) { return order_of(input.backups[i]); });
  return order;
}

void TierChoice::keep(std::size_t backup, RetentionTier tier, std::string detail,
                      std::optional<Timestamp> until) {
  decisions_[backup].kept_by.push_back({tier, std::move(detail), until});
}

void TierChoice::pass_over(std::size_t backup, std::string reason) {
  decisions_[backup].not_kept_by.push_back(std::move(reason));
}

void TierChoice::keep_last() {
  const auto& counted = order_.counted;
  for (std::size_t newer = 0; newer < counted.size(); ++newer) {
    const auto backup = counted[counted.size() - 1 - newer];
    if (newer < policy_.keep_last) {
      keep(backup, RetentionTier::kLast, fmt::format("{} of {}", newer + 1, policy_.keep_last),
           std::nullopt);
    } else {
      pass_over(backup, fmt::format("{} are newer", newer));
    }
  }
}

void TierChoice::keep_periods() {
  const std::initializer_list<PeriodTier> tiers = {
      {RetentionTier::kDaily, PeriodUnit::kDay, policy_.keep_daily},
      {RetentionTier::kWeekly, PeriodUnit::kWeek, policy_.keep_weekly},
      {RetentionTier::kMonthly, PeriodUnit::kMonth, policy_.keep_monthly},
      {RetentionTier::kYearly, PeriodUnit::kYear, policy_.keep_yearly}};
  for (const auto& [tier, unit, count] : tiers) {
    if (count == 0) continue;
    std::map<std::int64_t, LastOfPeriod, std::greater<>> periods;  // newest first
    for (const auto i : order_.counted) {
      const auto& backup = input_.backups[i];
      periods[period_of(zone_, unit, backup.stop_time)][backup.incarnation] = i;
    }
    std::map<std::int64_t, unsigned> newer_periods;
    for (const auto& [period, lasts] : periods) {
      newer_periods.emplace(period, static_cast<unsigned>(newer_periods.size()));
    }
    for (const auto i : order_.counted) {
      const auto& backup = input_.backups[i];
      const auto period = period_of(zone_, unit, backup.stop_time);
      const auto last = periods[period][backup.incarnation];
      const auto newer = newer_periods[period];
      const auto name = period_name(unit, period);
      if (last != i) {
        pass_over(i, fmt::format("{}: {} is the last of {}", to_string(tier),
                                 input_.backups[last].id, name));
      } else if (newer >= count) {
        pass_over(i,
                  fmt::format("{}: {} is not among the newest {}", to_string(tier), name, count));
      } else {
        keep(i, tier, name,
             counted_until(zone_, unit, period, periods.begin()->first, count - newer, input_.now));
      }
    }
  }
}

void TierChoice::keep_pinned() {
  for (std::size_t i = 0; i < input_.backups.size(); ++i) {
    for (const auto& pin : input_.backups[i].pins) {
      if (pin.expires && *pin.expires <= input_.now) {
        pass_over(
            i, fmt::format("pin {} expired on {}", pin.label, zone_.to_local_text(*pin.expires)));
      } else {
        keep(i, RetentionTier::kPin, pin.label, pin.expires);
      }
    }
  }
}

void TierChoice::keep_verified() {
  const auto& counted = order_.counted;
  unsigned verified = 0;
  for (const auto i : counted) {
    if (input_.backups[i].is_verified && decisions_[i].keep()) ++verified;
  }
  for (auto i = counted.rbegin(); i != counted.rend() && verified < policy_.keep_verified; ++i) {
    if (!input_.backups[*i].is_verified || decisions_[*i].keep()) continue;
    keep(*i, RetentionTier::kVerified, fmt::format("at least {}", policy_.keep_verified),
         std::nullopt);
    ++verified;
  }
}

}  // namespace pitr
