// Days, weeks, months and years as the C library names them, by TZ: independent of the date
// library. Sets TZ for the process while it lives; one at a time, not thread-safe.
#pragma once

#include <stdlib.h>
#include <time.h>

#include <string>

#include "retention/periods.h"

namespace pitr::test {

class LocalCalendar {
 public:
  explicit LocalCalendar(const std::string& zone) {
    ::setenv("TZ", (":" + zone).c_str(), 1);
    ::tzset();
  }
  ~LocalCalendar() {
    ::unsetenv("TZ");
    ::tzset();
  }
  LocalCalendar(const LocalCalendar&) = delete;
  LocalCalendar& operator=(const LocalCalendar&) = delete;

  std::string name(PeriodUnit unit, Timestamp time) const {
    const char* format = "%Y";
    if (unit == PeriodUnit::kDay) format = "%Y-%m-%d";
    if (unit == PeriodUnit::kWeek) format = "%G-W%V";
    if (unit == PeriodUnit::kMonth) format = "%Y-%m";
    const auto since_epoch = Microseconds(time.unix_us());
    const time_t seconds = std::chrono::floor<Seconds>(since_epoch).count();
    struct tm local{};
    ::localtime_r(&seconds, &local);
    char text[32];
    ::strftime(text, sizeof text, format, &local);
    return text;
  }
};

}  // namespace pitr::test
