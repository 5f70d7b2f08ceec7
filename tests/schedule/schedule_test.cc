#include "schedule/schedule.h"

#include "schedule/schedule_model.h"

namespace pitr::test {
namespace {

Timestamp at(Minute minute) {
  return Timestamp::from_unix_us(minute * kMinuteUs);
}

Minute minute_of(int year, unsigned month, unsigned day) {
  const std::chrono::sys_days date =
      std::chrono::year(year) / static_cast<int>(month) / static_cast<int>(day);
  return std::chrono::duration_cast<std::chrono::minutes>(date.time_since_epoch()).count();
}

std::vector<Minute> found_times(const std::string& text, const TimeZone& zone, Minute begin,
                                Minute end) {
  const auto schedule = Schedule::cron(text);
  if (!schedule) {
    ADD_FAILURE() << schedule.error().message();
    return {};
  }
  std::vector<Minute> times;
  auto time = at(begin);
  while (true) {
    time = schedule->next_after(time, zone).value();
    if (time > at(end)) return times;
    EXPECT_EQ(time.unix_us() % kMinuteUs, 0);
    times.push_back(time.unix_us() / kMinuteUs);
  }
}

struct Years {
  const char* zone;
  int from;
  int years;
};

class ScheduleModelTest : public testing::TestWithParam<Years> {};

// A leap day and every change of the clocks in the years.
TEST_P(ScheduleModelTest, AgreesWithTheModelInEveryMinute) {
  const auto& [zone_name, from, years] = GetParam();
  const auto zone = TimeZone::find(zone_name).value();
  const ModelClock clock(zone_name);
  const std::uint64_t seed = std::random_device{}();
  SCOPED_TRACE(fmt::format("seed {}", seed));
  ScheduleMaker maker(seed);
  const Minute begin = minute_of(from, 1, 1);
  const Minute end = minute_of(from + years, 1, 1);
  for (int i = 0; i < 8; ++i) {
    const auto schedule = maker.schedule();
    if (!Schedule::cron(schedule.text())) continue;  // a 31st of April
    EXPECT_EQ(found_times(schedule.text(), zone, begin, end), times_of(schedule, begin, end))
        << schedule.text();
  }
}

INSTANTIATE_TEST_SUITE_P(
    Zones, ScheduleModelTest,
    testing::Values(Years{"UTC", 2024, 1}, Years{"Europe/Berlin", 2024, 1},
                    Years{"America/New_York", 2027, 2}, Years{"Australia/Lord_Howe", 2025, 1},
                    // Clocks change at midnight; a whole day is left out; an hour that isn't whole.
                    Years{"America/Sao_Paulo", 2017, 2}, Years{"Pacific/Apia", 2011, 1},
                    Years{"Asia/Kathmandu", 2028, 1}, Years{"Africa/Casablanca", 2026, 1},
                    // Back from 00:01 to 23:01 of the day before.
                    Years{"America/St_Johns", 2010, 1}),
    [](const auto& years) {
      std::string name = years.param.zone;
      std::ranges::replace_if(name, [](char c) { return c == '/' || c == ' '; }, '_');
      return name;
    });

// 2010-11-07 00:01 became 23:01 of the day before, a Saturday: its last hour passed twice.
TEST(Schedule, ClocksArePutBackIntoADayThatFits) {
  const auto zone = TimeZone::find("America/St_Johns").value();
  const auto evening = minute_of(2010, 11, 7) + 90;  // 23:00 there
  EXPECT_THAT(found_times("7 * * * sat", zone, evening, evening + 180),
              testing::ElementsAre(evening + 7, evening + 67));
}

// On the very days, so that no roll of the dice leaves them out.
TEST(Schedule, TimesInTheGapAndInTheRepeatedHour) {
  const auto zone = TimeZone::find("Europe/Berlin").value();
  const auto utc = [](int month, int day, int hour, int minute) {
    return minute_of(2026, static_cast<unsigned>(month), static_cast<unsigned>(day)) + hour * 60 +
           minute;
  };
  using testing::ElementsAre;
  // 2026-03-29 01:00 UTC: 02:00 becomes 03:00.
  EXPECT_THAT(found_times("30 2 * * *", zone, utc(3, 28, 12, 0), utc(3, 30, 12, 0)),
              ElementsAre(utc(3, 29, 1, 0), utc(3, 30, 0, 30)));
  EXPECT_THAT(found_times("0,15,30 2 * * *", zone, utc(3, 28, 12, 0), utc(3, 29, 12, 0)),
              ElementsAre(utc(3, 29, 1, 0)));
  EXPECT_THAT(found_times("30 * * * *", zone, utc(3, 29, 0, 0), utc(3, 29, 2, 0)),
              ElementsAre(utc(3, 29, 0, 30), utc(3, 29, 1, 30)));
  // 2026-10-25 01:00 UTC: 03:00 becomes 02:00.
  EXPECT_THAT(found_times("30 2 * * *", zone, utc(10, 24, 12, 0), utc(10, 26, 12, 0)),
              ElementsAre(utc(10, 25, 0, 30), utc(10, 26, 1, 30)));
  EXPECT_THAT(found_times("30 * * * *", zone, utc(10, 25, 0, 0), utc(10, 25, 2, 0)),
              ElementsAre(utc(10, 25, 0, 30), utc(10, 25, 1, 30)));
  // In the second of the two hours the time is over.
  const auto daily = Schedule::cron("30 2 * * *").value();
  EXPECT_EQ(daily.next_after(at(utc(10, 25, 1, 10)), zone), at(utc(10, 26, 1, 30)));
}

TEST(DayWindow, OpensAsTheModelSays) {
  const std::uint64_t seed = std::random_device{}();
  SCOPED_TRACE(fmt::format("seed {}", seed));
  ScheduleMaker maker(seed);
  const auto zone = TimeZone::find("Europe/Berlin").value();
  const ModelClock clock("Europe/Berlin");
  for (int i = 0; i < 20; ++i) {
    const int from = maker.pick(0, 300), to = maker.pick(0, 1439);
    if (from == to) continue;
    const auto window = DayWindow::parse(fmt::format("{:02}:{:02}-{:02}:{:02}", from / 60,
                                                     from % 60, to / 60, to % 60))
                            .value();
    const auto is_open = [&](Minute minute) {
      const auto shown = ModelClock::shown_at(minute);
      const int of_day = shown.tm_hour * 60 + shown.tm_min;
      return from < to ? of_day >= from && of_day < to : of_day >= from || of_day < to;
    };
    for (const Minute day : {minute_of(2026, 3, 28), minute_of(2026, 10, 24)}) {
      for (Minute minute = day; minute < day + 3 * 1440; ++minute) {
        ASSERT_EQ(window.contains(at(minute), zone), is_open(minute)) << window.text();
        if (minute % 11 != 0) continue;
        const auto opens = window.next_open(at(minute), zone);
        ASSERT_GE(opens, at(minute));
        ASSERT_TRUE(is_open(opens.unix_us() / kMinuteUs)) << window.text();
        // Not later than where it opens for good; the second of two hours may be passed over.
        Minute expected = minute;
        while (!is_open(expected)) ++expected;
        ASSERT_LE(opens.unix_us() / kMinuteUs, expected + 1440) << window.text();
      }
    }
  }
}

TEST(DayWindow, RefusesWhatIsNone) {
  for (const auto* text : {"", "22-6", "22:00", "22:00-", "-06:00", "22:00-22:00", "0:00-24:00",
                           "25:00-06:00", "22:60-23:00", "22:00-24:01", "a:00-b:00"}) {
    EXPECT_FALSE(DayWindow::parse(text)) << text;
  }
  EXPECT_EQ(DayWindow::parse("9:00-24:00").value().text(), "09:00-00:00");
}

}  // namespace
}  // namespace pitr::test
