#include "common/time_zone.h"

#include <date/tz.h>
#include <fmt/format.h>

#include <stdexcept>

namespace pitr {

using SystemTime = date::sys_time<Microseconds>;

Result<TimeZone> TimeZone::find(const std::string& name) {
  try {
    return TimeZone(name, date::locate_zone(name));
  } catch (const std::exception&) {
    return Error::invalid(fmt::format("there is no time zone \"{}\"", name))
        .with_hint("write one of the system's, such as Europe/Berlin or UTC (package tzdata)");
  }
}

std::int64_t TimeZone::day_of(Timestamp time) const {
  const auto local = zone_->to_local(SystemTime(Microseconds(time.unix_us())));
  return date::floor<date::days>(local).time_since_epoch().count();
}

Timestamp TimeZone::start_of_day(std::int64_t day) const {
  const auto local = date::local_days(date::days(day));
  // "earliest" also takes the end of a gap for a time that isn't there.
  const SystemTime start = zone_->to_sys(local, date::choose::earliest);
  return Timestamp::from_unix_us(start.time_since_epoch().count());
}

std::int64_t TimeZone::to_local_us(Timestamp time) const {
  return zone_->to_local(SystemTime(Microseconds(time.unix_us()))).time_since_epoch().count();
}

Timestamp TimeZone::from_local_us(std::int64_t local_us) const {
  const date::local_time<Microseconds> local{Microseconds(local_us)};
  const SystemTime time = zone_->to_sys(local, date::choose::earliest);
  return Timestamp::from_unix_us(time.time_since_epoch().count());
}

std::string TimeZone::to_local_text(Timestamp time) const {
  const auto at = date::floor<Seconds>(SystemTime(Microseconds(time.unix_us())));
  return date::format("%Y-%m-%d %H:%M %z", date::make_zoned(zone_, at));
}

}  // namespace pitr
