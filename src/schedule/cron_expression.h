// A cron expression: which minutes of the calendar it names, whatever the time zone. Five fields
// (minute, hour, day of month, month, day of week) with lists, ranges, steps and English names, and
// the words @hourly, @daily (@midnight), @weekly, @monthly and @yearly (@annually), as in Vixie's
// cron (crontab(5)). Like there, a date has to fit day of month *or* day of week where both are
// given, and both where one of them begins with "*".
//
// A value. Pure; thread-safe.
#pragma once

#include <bitset>
#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "common/result.h"

namespace pitr {

class CronExpression {
 public:
  // kInvalid says which field is wrong and what it may be. So is an expression that no date fits,
  // such as a 30th of February.
  static Result<CronExpression> parse(std::string_view text);

  const std::string& text() const { return text_; }
  bool fits_date(std::chrono::sys_days date) const;
  bool fits_time(unsigned hour, unsigned minute) const { return hours_[hour] && minutes_[minute]; }
  // Every hour of the day: it names minutes that pass, not times of the day.
  bool is_every_hour() const { return hours_.all(); }
  // The first date that fits, from this one on.
  std::chrono::sys_days next_date(std::chrono::sys_days from) const;
  // The first minute of the day that fits, from this one on; none: not on that day any more.
  std::optional<unsigned> next_minute_of_day(unsigned from) const;

  friend bool operator==(const CronExpression& a, const CronExpression& b) {
    return a.text_ == b.text_;
  }

 private:
  CronExpression() = default;
  bool has_a_date() const;

  std::string text_;
  std::bitset<60> minutes_;
  std::bitset<24> hours_;
  std::bitset<32> days_;          // from 1
  std::bitset<13> months_;        // from 1
  std::bitset<7> weekdays_;       // from Sunday
  bool needs_both_days_ = false;  // day of month and day of week
};

}  // namespace pitr
