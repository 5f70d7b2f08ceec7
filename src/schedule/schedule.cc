#include "schedule/schedule.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace pitr {
namespace {

using std::chrono::days;
using std::chrono::minutes;
using std::chrono::sys_days;

using LocalMinutes = std::chrono::sys_time<minutes>;  // what clocks show, as if it were UTC

constexpr unsigned kMinutesOfDay = 24 * 60;
constexpr unsigned kLongestStepBack = 3 * 60;  // of clocks, in minutes

LocalMinutes local_minute(const TimeZone& zone, Timestamp time) {
  const auto local = std::chrono::sys_time<Microseconds>(Microseconds(zone.to_local_us(time)));
  return std::chrono::floor<minutes>(local);
}

Timestamp moment(const TimeZone& zone, LocalMinutes local) {
  return zone.from_local_us(Microseconds(local.time_since_epoch()).count());
}

unsigned minute_of_day(LocalMinutes local) {
  return static_cast<unsigned>((local - std::chrono::floor<days>(local)).count());
}

// From `from` on.
LocalMinutes next_fitting(const CronExpression& cron, LocalMinutes from) {
  auto date = std::chrono::floor<days>(from);
  if (cron.fits_date(date)) {
    if (const auto minute = cron.next_minute_of_day(minute_of_day(from))) {
      return date + minutes(*minute);
    }
  }
  date = cron.next_date(date + days(1));
  return date + minutes(*cron.next_minute_of_day(0));
}

// Moments rise with what clocks show, the first of two being taken: so whatever is not later than
// what they show now is over.
Timestamp next_time_of_day(const CronExpression& cron, Timestamp time, const TimeZone& zone) {
  auto local = local_minute(zone, time);
  while (true) {
    local = next_fitting(cron, local + minutes(1));
    const auto found = moment(zone, local);
    if (found > time) return found;
  }
}

// Minute by minute as they pass; dates that don't fit are left out.
Timestamp next_passing_minute(const CronExpression& cron, Timestamp time, const TimeZone& zone) {
  const auto since_epoch = std::chrono::floor<minutes>(Microseconds(time.unix_us()));
  auto next = Timestamp::from_unix_us(Microseconds(since_epoch + minutes(1)).count());
  while (true) {
    const auto local = local_minute(zone, next);
    const auto date = std::chrono::floor<days>(local);
    const auto minute = minute_of_day(local);
    if (!cron.fits_date(date)) {
      // Right after midnight clocks may be put back into a day that fits, and never far.
      next = next + minutes(1);
      if (minute < kLongestStepBack) continue;
      next = std::max(next, moment(zone, cron.next_date(date + days(1))));
      continue;
    }
    if (cron.fits_time(minute / 60, minute % 60)) return next;
    next = next + minutes(1);
  }
}

// "06:30" as minutes; none where it is no time of the day.
std::optional<unsigned> parse_time_of_day(std::string_view text) {
  const auto colon = text.find(':');
  if (colon == std::string_view::npos || colon == 0 || text.size() != colon + 3) {
    return std::nullopt;
  }
  unsigned hour = 0, minute = 0;
  const char* const begin = text.data();
  const auto hour_end = std::from_chars(begin, begin + colon, hour);
  const auto minute_end = std::from_chars(begin + colon + 1, begin + text.size(), minute);
  if (hour_end.ec != std::errc() || hour_end.ptr != begin + colon || minute_end.ec != std::errc() ||
      minute_end.ptr != begin + text.size()) {
    return std::nullopt;
  }
  if (minute > 59 || hour > 24 || (hour == 24 && minute > 0)) return std::nullopt;
  return (hour * 60 + minute) % kMinutesOfDay;
}

}  // namespace

Result<Schedule> Schedule::cron(std::string_view text) {
  auto expression = TRY(CronExpression::parse(text));
  return Schedule(std::move(expression));
}

std::optional<Milliseconds> Schedule::interval() const {
  const auto* interval = std::get_if<Milliseconds>(&rule_);
  return interval ? std::optional(*interval) : std::nullopt;
}

std::optional<Timestamp> Schedule::next_after(Timestamp time, const TimeZone& zone) const {
  if (const auto* interval = std::get_if<Milliseconds>(&rule_)) return time + *interval;
  const auto* cron = std::get_if<CronExpression>(&rule_);
  if (!cron) return std::nullopt;
  return cron->is_every_hour() ? next_passing_minute(*cron, time, zone)
                               : next_time_of_day(*cron, time, zone);
}

std::string Schedule::cron_text() const {
  const auto* cron = std::get_if<CronExpression>(&rule_);
  return cron ? cron->text() : "";
}

// ---- The window
// ----------------------------------------------------------------------------------

Result<DayWindow> DayWindow::parse(std::string_view text) {
  const auto dash = text.find('-');
  if (dash != std::string_view::npos) {
    const auto from = parse_time_of_day(text.substr(0, dash));
    const auto to = parse_time_of_day(text.substr(dash + 1));
    if (from && to && *from != *to) return DayWindow(*from, *to);
    if (from && to) {
      return Error::invalid(
          fmt::format("\"{}\" begins where it ends; leave it out for the whole day", text));
    }
  }
  return Error::invalid(
      fmt::format("\"{}\" is no part of the day; write for example 22:00-06:00", text));
}

bool DayWindow::contains(Timestamp time, const TimeZone& zone) const {
  const auto minute = minute_of_day(local_minute(zone, time));
  return from_ < to_ ? from_ <= minute && minute < to_ : minute >= from_ || minute < to_;
}

// A window that lies in the gap of a day on which clocks are put forward doesn't open on that day.
Timestamp DayWindow::next_open(Timestamp from, const TimeZone& zone) const {
  if (contains(from, zone)) return from;
  auto date = std::chrono::floor<days>(local_minute(zone, from));
  while (true) {
    const auto opens = moment(zone, date + minutes(from_));
    if (opens >= from && contains(opens, zone)) return opens;
    date += days(1);
  }
}

std::string DayWindow::text() const {
  return fmt::format("{:02}:{:02}-{:02}:{:02}", from_ / 60, from_ % 60, to_ / 60, to_ % 60);
}

}  // namespace pitr
