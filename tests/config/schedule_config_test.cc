#include "config/parsed_config.h"
#include "config/read_schedule.h"

namespace pitr {
namespace {

using test::parsed;
using test::problems_of;

using testing::HasSubstr;

TEST(ScheduleConfig, HasDefaults) {
  const auto schedule = parsed("\n").clusters.front().schedule;
  EXPECT_EQ(schedule_text(schedule.backup), "0 1 * * *");
  EXPECT_EQ(schedule_text(schedule.independent), "0 1 1 * *");
  EXPECT_EQ(schedule_text(schedule.expire), "0 4 * * *");
  EXPECT_EQ(schedule_text(schedule.check), "every 5min");
  EXPECT_EQ(schedule.time_zone, "UTC");
  EXPECT_EQ(schedule.jitter, std::chrono::minutes(30));
  EXPECT_FALSE(schedule.window);
}

// The order of the sections doesn't matter.
TEST(ScheduleConfig, ClustersChangeSingleKeys) {
  const auto config = parsed(R"(
clusters:
  a:
    connection: host=a
    schedule: {backup: "@hourly", window: always, check: never}
  b: {connection: host=b}
  c: {connection: host=c, schedule: never}
schedule:
  backup:
    every: 6h
  independent: "0 2 * * sun"
  expire: never
  time_zone: Europe/Berlin
  jitter: 5min
  window: 22:00-06:00
)");
  ASSERT_EQ(config.clusters.size(), 3u);
  const auto& a = config.clusters[0].schedule;
  const auto& b = config.clusters[1].schedule;
  const auto& c = config.clusters[2].schedule;
  EXPECT_EQ(schedule_text(a.backup), "@hourly");
  EXPECT_EQ(schedule_text(b.backup), "every 6h");
  EXPECT_FALSE(a.window);
  ASSERT_TRUE(b.window);
  EXPECT_EQ(b.window->text(), "22:00-06:00");
  EXPECT_TRUE(a.check.is_never());
  EXPECT_EQ(schedule_text(b.check), "every 5min");
  for (const auto& schedule : {a, b}) {
    EXPECT_EQ(schedule_text(schedule.independent), "0 2 * * sun");
    EXPECT_TRUE(schedule.expire.is_never());
    EXPECT_EQ(schedule.time_zone, "Europe/Berlin");
    EXPECT_EQ(schedule.jitter, std::chrono::minutes(5));
  }
  for (const auto* job : {&c.backup, &c.independent, &c.expire, &c.check}) {
    EXPECT_TRUE(job->is_never());
  }
}

TEST(ScheduleConfig, SaysWhereAMistakeIsAndWhatToWrite) {
  EXPECT_THAT(problems_of("schedule: {backup: 0 25 * * *}"),
              HasSubstr("f:1:20: \"backup\": \"25\" cannot be the hour of a schedule: it must be 0 "
                        "to 23"));
  EXPECT_THAT(problems_of("schedule: {backup: daily}"), HasSubstr("needs 5 fields"));
  EXPECT_THAT(problems_of("schedule: {backup: every 6h}"), HasSubstr("write {every: 6h}"));
  EXPECT_THAT(problems_of("schedule: {backup: {every: 1min}}"),
              HasSubstr("\"every\" must be from 10min"));
  EXPECT_THAT(problems_of("schedule: {backup: {}}"), HasSubstr("lacks \"every\""));
  EXPECT_THAT(problems_of("schedule: {backup: {each: 6h}}"), HasSubstr("unknown key \"each\""));
  EXPECT_THAT(problems_of("schedule: {backup: [0 1 * * *]}"), HasSubstr("a cron expression"));
  EXPECT_THAT(problems_of("schedule: {backups: never}"), HasSubstr("did you mean \"backup\"?"));
  EXPECT_THAT(problems_of("schedule: {window: 22-06}"), HasSubstr("write for example 22:00-06:00"));
  EXPECT_THAT(problems_of("schedule: {jitter: 2d}"), HasSubstr("\"jitter\" must be from"));
  EXPECT_THAT(problems_of("schedule: {time_zone: Berlin}"), HasSubstr("there is no time zone"));
  EXPECT_THAT(problems_of("schedule: always"), HasSubstr("must be a section"));
  EXPECT_THAT(problems_of("clusters: {main: {schedule: {check: {every: 5}}}}"),
              HasSubstr("lacks its unit"));
}

}  // namespace
}  // namespace pitr
