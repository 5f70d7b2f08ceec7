#include "schedule/due.h"

#include "schedule/schedule_model.h"

namespace pitr::test {
namespace {

Timestamp at(Minute minute) {
  return Timestamp::from_unix_us(minute * kMinuteUs);
}

// Weeks of a machine that is switched off at times and whose clock is put back and forward, one
// look a minute: the same job starts as by a list of all the times that come up.
TEST(Due, StartsWhenTheModelDoes) {
  const std::uint64_t seed = std::random_device{}();
  SCOPED_TRACE(fmt::format("seed {}", seed));
  ScheduleMaker maker(seed);
  const auto zone = TimeZone::find("Europe/Berlin").value();
  const ModelClock clock("Europe/Berlin");
  const Minute begin = 29'500'000 - 29'500'000 % 1440;  // February 2026
  for (int round = 0; round < 20; ++round) {
    ModelSchedule schedule = maker.schedule();
    schedule.month = {{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}, true, "*"};
    const auto times = times_of(schedule, begin - 3 * 1440, begin + 70 * 1440);
    const int offset = maker.pick(0, 2) == 0 ? 0 : maker.pick(1, 300);
    JobRules rules{Schedule::cron(schedule.text()).value(), zone,
                   Milliseconds(std::chrono::minutes(offset)), std::nullopt};
    if (maker.pick(0, 1) == 0) rules.window = DayWindow::parse("22:00-03:30").value();
    JobMemory memory;
    memory.done = at(begin);
    Minute model_done = begin;
    Minute now = begin;
    for (Minute passed = 0; passed < 50 * 1440; ++passed) {
      ++now;
      if (maker.pick(0, 2000) == 0) now += maker.pick(1, 4000);    // off
      if (maker.pick(0, 4000) == 0) now -= maker.pick(1, 3 * 60);  // put back
      if (now > begin + 68 * 1440 || now < begin - 2 * 1440) break;
      model_done = std::min(model_done, now);
      const auto missed = std::ranges::upper_bound(times, model_done - offset);
      const auto shown = ModelClock::shown_at(now);
      const int of_day = shown.tm_hour * 60 + shown.tm_min;
      const bool is_open = !rules.window || of_day >= 22 * 60 || of_day < 3 * 60 + 30;
      const bool expected = missed != times.end() && *missed + offset <= now && is_open;
      forget_future(memory, at(now));
      const auto due = due_at(rules, memory, at(now));
      ASSERT_EQ(due && *due <= at(now), expected)
          << schedule.text() << " offset " << offset << " at " << to_string(at(now));
      if (!expected) continue;
      memory.done = at(now);
      model_done = now;
    }
  }
}

TEST(Due, IntervalsCountFromTheLastRun) {
  const auto zone = TimeZone::find("UTC").value();
  const JobRules rules{Schedule::every(std::chrono::hours(6)), zone, std::chrono::hours(1), {}};
  JobMemory memory;
  EXPECT_EQ(due_at(rules, memory, at(1000)), at(1000));
  memory.done = at(1000);
  EXPECT_EQ(due_at(rules, memory, at(1001)), at(1360));
  EXPECT_EQ(due_at(rules, memory, at(9000)), at(1360));  // due, once
  EXPECT_EQ(due_at({Schedule::never(), zone, {}, {}}, memory, at(9000)), std::nullopt);
}

TEST(Due, FailuresAreTriedAgainLaterAndLater) {
  const auto zone = TimeZone::find("UTC").value();
  JobRules rules{Schedule::cron("@daily").value(), zone, {}, {}};
  JobMemory memory;
  std::vector<Minute> delays;
  for (memory.failures = 1; memory.failures < 2000; ++memory.failures) {
    memory.last_failure = at(5000);
    const Minute delay = (*due_at(rules, memory, at(5000)) - at(5000)).count() / kMinuteUs;
    if (memory.failures <= 7) delays.push_back(delay);
    ASSERT_GE(delay, 1);
    ASSERT_LE(delay, 30);
  }
  EXPECT_THAT(delays, testing::ElementsAre(1, 2, 4, 8, 16, 30, 30));
  // The clock was put back by a year: tried again soon all the same.
  memory.failures = 3;
  memory.last_failure = at(500'000);
  forget_future(memory, at(5000));
  EXPECT_EQ(due_at(rules, memory, at(5000)), at(5004));
  // Not outside the window.
  rules.window = DayWindow::parse("12:00-13:00").value();
  memory.last_failure = at(13 * 60 - 2);
  EXPECT_EQ(due_at(rules, memory, at(13 * 60 - 2)), at(36 * 60));
}

TEST(Due, JitterIsSpreadAndStays) {
  const Milliseconds most = std::chrono::minutes(30);
  std::array<int, 6> buckets{};
  for (int i = 0; i < 600; ++i) {
    const auto name = fmt::format("shop-{}", i);
    const auto offset = jitter_offset(most, name, "backup");
    ASSERT_GE(offset.count(), 0);
    ASSERT_LT(offset, most);
    ASSERT_EQ(offset, jitter_offset(most, name, "backup"));
    ++buckets[static_cast<std::size_t>(offset / std::chrono::minutes(5))];
  }
  for (const int count : buckets) EXPECT_GT(count, 60);
  EXPECT_EQ(jitter_offset(Milliseconds(0), "a", "backup"), Milliseconds(0));
  // Written into no file, so it must not change from one version to the next.
  EXPECT_EQ(jitter_offset(most, "main", "backup"), Milliseconds(1033465));
}

}  // namespace
}  // namespace pitr::test
