#include "common/clock.h"

#include <fmt/format.h>

#include <ctime>

namespace pitr {

struct CivilTime {
  std::tm date{};
  std::int64_t microsecond = 0;
};

static CivilTime to_civil(Timestamp timestamp) {
  const auto since_epoch = Microseconds(timestamp.unix_us());
  const auto whole = std::chrono::floor<Seconds>(since_epoch);
  CivilTime civil;
  civil.microsecond = (since_epoch - whole).count();
  const std::time_t seconds = whole.count();
  gmtime_r(&seconds, &civil.date);
  return civil;
}

std::string to_string(Timestamp timestamp) {
  const CivilTime t = to_civil(timestamp);
  return fmt::format("{:04}-{:02}-{:02} {:02}:{:02}:{:02}.{:06}+00", t.date.tm_year + 1900,
                     t.date.tm_mon + 1, t.date.tm_mday, t.date.tm_hour, t.date.tm_min,
                     t.date.tm_sec, t.microsecond);
}

std::string to_compact_string(Timestamp timestamp) {
  const CivilTime t = to_civil(timestamp);
  return fmt::format("{:04}{:02}{:02}T{:02}{:02}{:02}Z", t.date.tm_year + 1900, t.date.tm_mon + 1,
                     t.date.tm_mday, t.date.tm_hour, t.date.tm_min, t.date.tm_sec);
}

Timestamp SystemClock::now() const {
  const auto since_epoch = std::chrono::system_clock::now().time_since_epoch();
  return Timestamp::from_unix_us(std::chrono::duration_cast<Microseconds>(since_epoch).count());
}

const SystemClock& SystemClock::shared() {
  static const SystemClock clock;
  return clock;
}

}  // namespace pitr
