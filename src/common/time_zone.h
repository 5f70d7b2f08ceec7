// A zone of the system's time zone database: which local date a moment belongs to, and when a local
// date begins. For what people mean by "a day".
//
// Values; cheap to copy. Thread-safe. Up to 2037 the database's transitions count, behind that
// the zone's last offset.
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
  // "2026-03-01 09:15 +0100"
  std::string to_local_text(Timestamp time) const;

 private:
  TimeZone(std::string name, const date::time_zone* zone) : name_(std::move(name)), zone_(zone) {}
  std::string name_;
  const date::time_zone* zone_;  // lives as long as the program
};

}  // namespace pitr
