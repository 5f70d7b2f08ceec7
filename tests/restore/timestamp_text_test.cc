#include "restore/plan/timestamp_text.h"

namespace pitr {
namespace {

using testing::HasSubstr;

std::string utc(std::string_view text, const std::string& local_zone = "Europe/Berlin") {
  const auto parsed = parse_timestamp(text, local_zone);
  return parsed.has_value() ? to_string(parsed->time) + " " + parsed->zone
                            : "refused: " + parsed.error().message();
}

TEST(TimestampTextTest, ReadsTheUsualForms) {
  EXPECT_EQ(utc("2026-03-01 09:15:00.123+01"), "2026-03-01 08:15:00.123000+00 +01:00");
  EXPECT_EQ(utc("2026-03-01 09:15:00Z"), "2026-03-01 09:15:00.000000+00 UTC");
  EXPECT_EQ(utc("2026-03-01T09:15:00.000001Z"), "2026-03-01 09:15:00.000001+00 UTC");
  EXPECT_EQ(utc("2026-03-01T09:15"), "2026-03-01 08:15:00.000000+00 Europe/Berlin");
  EXPECT_EQ(utc("  2026-03-01 09:15:00-0330 "), "2026-03-01 12:45:00.000000+00 -03:30");
  EXPECT_EQ(utc("2026-03-01 09:15:00 +05:45"), "2026-03-01 03:30:00.000000+00 +05:45");
  EXPECT_EQ(utc("2026-03-01 09:15:00 America/New_York"),
            "2026-03-01 14:15:00.000000+00 America/New_York");
  EXPECT_EQ(utc("1999-12-31 23:59:59.999999Z"), "1999-12-31 23:59:59.999999+00 UTC");
}

TEST(TimestampTextTest, ADateAloneIsMidnightInItsZone) {
  EXPECT_EQ(utc("2026-07-01"), "2026-06-30 22:00:00.000000+00 Europe/Berlin");
  EXPECT_EQ(utc("2026-07-01 UTC"), "2026-07-01 00:00:00.000000+00 UTC");
  EXPECT_EQ(utc("2026-07-01", "UTC"), "2026-07-01 00:00:00.000000+00 UTC");
}

TEST(TimestampTextTest, LocalTimesThatHappenedTwiceAreRefusedWithBothChoices) {
  const auto twice = parse_timestamp("2026-10-25 02:30:00", "Europe/Berlin");
  ASSERT_FALSE(twice.has_value());
  EXPECT_EQ(twice.error().kind(), ErrorKind::kInvalid);
  EXPECT_THAT(twice.error().message(), HasSubstr("happened twice in Europe/Berlin"));
  EXPECT_THAT(twice.error().hint(), HasSubstr("02:30:00.000000+02:00 or 2026-10-25 "));
  EXPECT_THAT(twice.error().hint(), HasSubstr("02:30:00.000000+01:00"));
  EXPECT_EQ(utc("2026-10-25 02:30:00+02"), "2026-10-25 00:30:00.000000+00 +02:00");
  EXPECT_EQ(utc("2026-10-25 02:30:00+01"), "2026-10-25 01:30:00.000000+00 +01:00");
  EXPECT_EQ(utc("2026-10-25 03:00:00"), "2026-10-25 02:00:00.000000+00 Europe/Berlin");
}

TEST(TimestampTextTest, LocalTimesThatNeverWereAreRefusedWithBothChoices) {
  const auto skipped = parse_timestamp("2026-03-29 02:30:00", "Europe/Berlin");
  ASSERT_FALSE(skipped.has_value());
  EXPECT_THAT(skipped.error().message(), HasSubstr("never was in Europe/Berlin"));
  EXPECT_THAT(skipped.error().message(), HasSubstr("from 02:00:00 to 03:00:00"));
  EXPECT_THAT(skipped.error().hint(), HasSubstr("+01:00 or"));
}

TEST(TimestampTextTest, RefusesEverythingElse) {
  for (const auto* text :
       {"", "yesterday", "2026-02-30", "2026-13-01", "2026-03-01 24:00:00", "2026-03-01 09",
        "2026-03-01 09:15:60", "2026-03-01 09:15:00.", "2026-03-01 09:15:00.1234567",
        "2026-03-01 09:15:00 Europe/Nowhere", "2026-03-01 09:15:00+25", "2026-03-01 09:15:00+01x",
        "2026-03-01 09:15:00 +01:0", "26-03-01", "2026-03-01T", "2026-03-01 09:15:00 ;",
        "2026-03-01x", "1772352900"}) {
    const auto parsed = parse_timestamp(text, "UTC");
    EXPECT_FALSE(parsed.has_value()) << text;
    if (!parsed.has_value()) {
      EXPECT_EQ(parsed.error().kind(), ErrorKind::kInvalid);
      EXPECT_NE(parsed.error().hint(), "") << text;
    }
  }
  EXPECT_EQ(utc("2026-03-01 09:15:00.1230000"), utc("2026-03-01 09:15:00.123"));
}

TEST(TimestampTextTest, ShowsTimesWithTheirZone) {
  const auto winter = Timestamp::from_unix_us(1'772'352'900'123'456);  // 2026-03-01 08:15 UTC
  EXPECT_EQ(*to_string_in_zone(winter, "Europe/Berlin"),
            "2026-03-01 09:15:00.123456+01:00 (Europe/Berlin)");
  EXPECT_EQ(*to_string_in_zone(winter, "-03:30"), "2026-03-01 04:45:00.123456-03:30");
  EXPECT_EQ(*to_string_in_zone(winter, "UTC"), "2026-03-01 08:15:00.123456+00:00 (UTC)");
}

TEST(TimestampTextTest, TheLocalZoneIsTzOrTheSystems) {
  const auto with_tz = [](std::string value) {
    return local_zone_name([value](const char*) { return std::optional(value); });
  };
  EXPECT_EQ(*with_tz("Asia/Tokyo"), "Asia/Tokyo");
  EXPECT_EQ(*with_tz(":/usr/share/zoneinfo/Asia/Tokyo"), "Asia/Tokyo");
  EXPECT_FALSE(with_tz("Nowhere/Land").has_value());
  EXPECT_TRUE(local_zone_name([](const char*) { return std::nullopt; }).has_value());
}

}  // namespace
}  // namespace pitr
