#include "retention/periods.h"

#include <fmt/format.h>

#include <chrono>

namespace pitr {

namespace {

using std::chrono::days;
using std::chrono::sys_days;
using std::chrono::year_month_day;

constexpr std::int64_t kDaysPerWeek = 7;
constexpr std::int64_t kMonthsPerYear = 12;
// 1970-01-01 was a Thursday, the fourth day of its week.
constexpr std::int64_t kFirstDayInWeek = 3;
constexpr std::int64_t kThursdayInWeek = 3;

// GCC 12's <chrono> has the calendar, though not the time zones. A local date is counted as if it
// were one in UTC.
year_month_day date_of(std::int64_t day) {
  return {sys_days(days(day))};
}

std::int64_t first_day_of_month(std::int64_t month) {
  const auto year = static_cast<int>(month / kMonthsPerYear);
  const auto number = static_cast<unsigned>(month % kMonthsPerYear) + 1;
  const sys_days first(std::chrono::year(year) / std::chrono::month(number) / 1);
  return first.time_since_epoch().count();
}

std::int64_t floor_divide(std::int64_t value, std::int64_t by) {
  const auto quotient = value / by;
  return value % by < 0 ? quotient - 1 : quotient;
}

std::int64_t first_day_of(PeriodUnit unit, std::int64_t period) {
  switch (unit) {
    case PeriodUnit::kDay:
      return period;
    case PeriodUnit::kWeek:
      return period * kDaysPerWeek - kFirstDayInWeek;
    case PeriodUnit::kMonth:
      return first_day_of_month(period);
    case PeriodUnit::kYear:
      return first_day_of_month(period * kMonthsPerYear);
  }
  return period;
}

}  // namespace

std::int64_t period_of(const TimeZone& zone, PeriodUnit unit, Timestamp time) {
  const auto day = zone.day_of(time);
  if (unit == PeriodUnit::kDay) return day;
  if (unit == PeriodUnit::kWeek) return floor_divide(day + kFirstDayInWeek, kDaysPerWeek);
  const auto date = date_of(day);
  const auto year = static_cast<int>(date.year());
  if (unit == PeriodUnit::kYear) return year;
  return year * kMonthsPerYear + static_cast<unsigned>(date.month()) - 1;
}

Timestamp start_of_period(const TimeZone& zone, PeriodUnit unit, std::int64_t period) {
  return zone.start_of_day(first_day_of(unit, period));
}

std::string period_name(PeriodUnit unit, std::int64_t period) {
  const auto first_day = first_day_of(unit, period);
  const auto date = date_of(first_day);
  const auto year = static_cast<int>(date.year());
  const auto month = static_cast<unsigned>(date.month());
  switch (unit) {
    case PeriodUnit::kDay:
      return fmt::format("{:04}-{:02}-{:02}", year, month, static_cast<unsigned>(date.day()));
    case PeriodUnit::kWeek: {
      // A week belongs to the year of its Thursday.
      const auto thursday = first_day + kThursdayInWeek;
      const auto week_year = static_cast<int>(date_of(thursday).year());
      const auto new_year = first_day_of_month(week_year * kMonthsPerYear);
      return fmt::format("{:04}-W{:02}", week_year, (thursday - new_year) / kDaysPerWeek + 1);
    }
    case PeriodUnit::kMonth:
      return fmt::format("{:04}-{:02}", year, month);
    case PeriodUnit::kYear:
      return fmt::format("{:04}", year);
  }
  return {};
}

}  // namespace pitr
