// A zone of the system's time zone database: which local date a moment belongs to, and when a local
// date begins. For what people mean by "a day".
//
// Values; cheap to copy; equal where the names are. Thread-safe. Up to 2037 the database's
// transitions count, behind that the zone's last offset.
#pragma once

#include <cstdint>
#include <string>

#include "common/clock.h"
#include "common/result.h"

namespace date {
class time_zone;
}

namespace pitr {

class TimeZone {
 public:
  // "UTC", "Europe/Berlin". kInvalid where the database has no such zone or isn't installed.
  static Result<TimeZone> find(const std::string& name);

  const std::string& name() const { return name_; }
  // Of the local date: days since 1970-01-01.
  std::int64_t day_of(Timestamp time) const;
  // The date's first moment, which isn't midnight where clocks are put forward at midnight.
  Timestamp start_of_day(std::int64_t day) const;
  // What the zone's clocks show, as microseconds since they showed 1970-01-01 00:00.
  std::int64_t to_local_us(Timestamp time) const;
  // When clocks show that: the first time where they show it twice, and the end of the gap where
  // they are put forward across it.
  Timestamp from_local_us(std::int64_t local_us) const;
  // "2026-03-01 09:15 +0100"
  std::string to_local_text(Timestamp time) const;
  friend bool operator==(const TimeZone& a, const TimeZone& b) { return a.name_ == b.name_; }

 private:
  TimeZone(std::string name, const date::time_zone* zone) : name_(std::move(name)), zone_(zone) {}
  std::string name_;
  const date::time_zone* zone_;  // lives as long as the program
};

}  // namespace pitr
