#include "config/parsed_config.h"

namespace pitr {
namespace {

using test::parsed;
using test::problems_of;

using testing::HasSubstr;

TEST(RetentionConfig, HasDefaults) {
  const auto retention = parsed("\n").clusters.front().retention;
  EXPECT_EQ(retention.keep_last, 3u);
  EXPECT_EQ(retention.keep_daily, 7u);
  EXPECT_EQ(retention.keep_weekly, 4u);
  EXPECT_EQ(retention.keep_monthly, 12u);
  EXPECT_EQ(retention.keep_yearly, 5u);
  EXPECT_EQ(retention.keep_verified, 1u);
  EXPECT_EQ(retention.keep_within, std::chrono::hours(14 * 24));
  EXPECT_EQ(retention.grace, std::chrono::hours(72));
  EXPECT_EQ(retention.time_zone, "UTC");
  EXPECT_FALSE(retention.max_size_bytes);
}

// The order of the sections doesn't matter.
TEST(RetentionConfig, ClustersChangeSingleKeys) {
  const auto config = parsed(R"(
clusters:
  a:
    connection: host=a
    retention: {keep_last: 9, time_zone: Europe/Berlin}
  b: {connection: host=b}
retention:
  keep_last: 5
  keep_daily: 0
  keep_within: 30d
  keep_verified: 2
  max_size: 10GiB
  grace: 12h
)");
  ASSERT_EQ(config.clusters.size(), 2u);
  const auto& a = config.clusters[0].retention;
  const auto& b = config.clusters[1].retention;
  EXPECT_EQ(a.keep_last, 9u);
  EXPECT_EQ(b.keep_last, 5u);
  EXPECT_EQ(a.time_zone, "Europe/Berlin");
  EXPECT_EQ(b.time_zone, "UTC");
  for (const auto& retention : {a, b}) {
    EXPECT_EQ(retention.keep_daily, 0u);
    EXPECT_EQ(retention.keep_weekly, 4u);
    EXPECT_EQ(retention.keep_within, std::chrono::hours(30 * 24));
    EXPECT_EQ(retention.keep_verified, 2u);
    EXPECT_EQ(retention.max_size_bytes, 10ull << 30);
    EXPECT_EQ(retention.grace, std::chrono::hours(12));
  }
}

TEST(RetentionConfig, RefusesWhatCouldDeleteTooMuch) {
  EXPECT_THAT(problems_of("retention: {keep_last: 0}"),
              HasSubstr("\"keep_last\" must be a whole number from 1 to"));
  EXPECT_THAT(problems_of("retention: {keep_daily: -1}"), HasSubstr("\"keep_daily\" must be"));
  EXPECT_THAT(problems_of("retention: {keep_within: 14}"), HasSubstr("\"keep_within\""));
  EXPECT_THAT(problems_of("retention: {grace: 10min}"), HasSubstr("\"grace\" must be from 1h"));
  EXPECT_THAT(problems_of("retention: {time_zone: Europe/Atlantis}"),
              HasSubstr("there is no time zone \"Europe/Atlantis\""));
  EXPECT_THAT(problems_of("retention: {keep_hourly: 3}"), HasSubstr("keep_hourly"));
  EXPECT_THAT(problems_of("clusters: {main: {retention: {keep_last: many}}}"),
              HasSubstr("\"keep_last\" must be"));
}

}  // namespace
}  // namespace pitr
