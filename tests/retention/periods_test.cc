#include "retention/periods.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <time.h>

#include "retention/local_calendar.h"

namespace pitr::test {
namespace {

Timestamp utc(std::int64_t seconds) {
  return Timestamp::from_unix_us(seconds * 1'000'000);
}

TimeZone zone(const std::string& name) {
  auto found = TimeZone::find(name);
  EXPECT_TRUE(found) << name;
  return *found;
}

TEST(TimeZone, UnknownOnesAreRefusedByName) {
  for (const auto* name : {"Europe/Atlantis", "", "../etc/passwd", "CEST"}) {
    const auto found = TimeZone::find(name);
    ASSERT_FALSE(found) << name;
    EXPECT_EQ(found.error().kind(), ErrorKind::kInvalid);
    EXPECT_NE(found.error().message().find("\"" + std::string(name) + "\""), std::string::npos);
  }
}

TEST(TimeZone, ADayBeginsWhereItsClocksSay) {
  const auto berlin = zone("Europe/Berlin");
  // 2026-03-29 has 23 hours, 2026-10-25 has 25.
  const auto spring = berlin.day_of(utc(1774738800));  // 2026-03-29 00:00 +0100
  EXPECT_EQ(berlin.start_of_day(spring), utc(1774738800));
  EXPECT_EQ(berlin.start_of_day(spring + 1) - berlin.start_of_day(spring), std::chrono::hours(23));
  const auto autumn = berlin.day_of(utc(1792886400));
  EXPECT_EQ(berlin.start_of_day(autumn + 1) - berlin.start_of_day(autumn), std::chrono::hours(25));
  EXPECT_EQ(berlin.day_of(utc(1774738800) - Microseconds(1)), spring - 1);
  EXPECT_EQ(berlin.to_local_text(utc(1774738800)), "2026-03-29 00:00 +0100");
}

// In Santiago clocks go from 24:00 to 01:00: the day has no midnight.
TEST(TimeZone, ADayWithoutMidnightBeginsBehindTheGap) {
  const auto santiago = zone("America/Santiago");
  const auto day = santiago.day_of(utc(1757217600));  // 2025-09-07 04:00 UTC
  const auto start = santiago.start_of_day(day);
  EXPECT_EQ(santiago.to_local_text(start), "2025-09-07 01:00 -0300");
  EXPECT_EQ(santiago.day_of(start), day);
  EXPECT_EQ(santiago.day_of(start - Microseconds(1)), day - 1);
}

// strftime of the C library is the other opinion: every 5 hours and some of 40 years.
TEST(Periods, AreThoseOfTheCLibrary) {
  for (const auto* name : {"UTC", "Europe/Berlin", "America/Santiago", "Pacific/Apia",
                           "Australia/Lord_Howe", "America/New_York", "Asia/Kathmandu"}) {
    const auto here = zone(name);
    const LocalCalendar calendar(name);
    for (std::int64_t second = 0; second < 40ll * 365 * 86400; second += 5 * 3600 + 1237) {
      const auto time = utc(second);
      for (const auto unit :
           {PeriodUnit::kDay, PeriodUnit::kWeek, PeriodUnit::kMonth, PeriodUnit::kYear}) {
        const auto period = period_of(here, unit, time);
        ASSERT_EQ(period_name(unit, period), calendar.name(unit, time)) << name << " " << second;
        ASSERT_LE(start_of_period(here, unit, period), time) << name << " " << second;
        ASSERT_GT(start_of_period(here, unit, period + 1), time) << name << " " << second;
      }
    }
  }
}

TEST(Periods, LeapDaysAndWeeksAcrossYears) {
  const auto here = zone("UTC");
  const auto leap_day = utc(1709164800);  // 2024-02-29
  EXPECT_EQ(period_name(PeriodUnit::kDay, period_of(here, PeriodUnit::kDay, leap_day)),
            "2024-02-29");
  const auto new_year = utc(1609459200);  // Friday, 2021-01-01
  EXPECT_EQ(period_name(PeriodUnit::kWeek, period_of(here, PeriodUnit::kWeek, new_year)),
            "2020-W53");
  const auto before_1970 = utc(-1);
  EXPECT_EQ(period_name(PeriodUnit::kDay, period_of(here, PeriodUnit::kDay, before_1970)),
            "1969-12-31");
  EXPECT_EQ(period_name(PeriodUnit::kWeek, period_of(here, PeriodUnit::kWeek, before_1970)),
            "1970-W01");
}

}  // namespace
}  // namespace pitr::test
