#include "config/units.h"

namespace pitr {
namespace {

TEST(UnitsTest, DurationsAndSizesAreReadWithTheirUnits) {
  EXPECT_EQ(parse_duration("250ms").value(), Milliseconds(250));
  EXPECT_EQ(parse_duration("10s").value(), Seconds(10));
  EXPECT_EQ(parse_duration("5 min").value(), std::chrono::minutes(5));
  EXPECT_EQ(parse_duration("2h").value(), std::chrono::hours(2));
  EXPECT_EQ(parse_duration("1d").value(), std::chrono::hours(24));
  EXPECT_EQ(parse_size("17B").value(), 17u);
  EXPECT_EQ(parse_size("512MiB").value(), 512ull << 20);
  EXPECT_EQ(parse_size("3TiB").value(), 3ull << 40);
  EXPECT_EQ(parse_rate("64KiB/s").value(), 64u << 10);
}

TEST(UnitsTest, RefusalsSayWhatToWrite) {
  EXPECT_EQ(parse_duration("10").error().message(), "\"10\" lacks its unit; write for example 10s");
  EXPECT_EQ(parse_duration("10 minutes").error().message(),
            "\"10 minutes\" has the unit \"minutes\", which is not known; write 10min");
  EXPECT_EQ(parse_duration("10 fortnights").error().message(),
            "\"10 fortnights\" has the unit \"fortnights\", which is not known; use one of: ms s "
            "min h d");
  EXPECT_EQ(parse_duration("soon").error().message(),
            "\"soon\" is not a duration; write for example 10s");
  EXPECT_EQ(parse_duration("-1s").error().message(),
            "\"-1s\" is not a duration; write for example 10s");
  EXPECT_EQ(parse_duration("1.5h").error().message(),
            "\"1.5h\" is not a whole number; use a smaller unit, for example 10s");
  EXPECT_EQ(parse_size("5MB").error().message(),
            "\"5MB\" has the unit \"MB\", which is not known; write 5MiB");
  EXPECT_EQ(parse_size("").error().message(), "\"\" is not a size; write for example 512MiB");
  EXPECT_EQ(parse_size("99999999999999999999B").error().message(),
            "\"99999999999999999999B\" is too large a size");
  EXPECT_EQ(parse_size("9999999999TiB").error().message(), "\"9999999999TiB\" is too large a size");
  EXPECT_EQ(parse_duration("9999999999999999d").error().message(),
            "\"9999999999999999d\" is too large a duration");
}

TEST(UnitsTest, ValuesPrintInTheLargestWholeUnit) {
  EXPECT_EQ(duration_to_string(Milliseconds(90'000)), "90s");
  EXPECT_EQ(duration_to_string(std::chrono::hours(48)), "2d");
  EXPECT_EQ(duration_to_string(Milliseconds(0)), "0ms");
  EXPECT_EQ(size_to_string(1536ull << 20), "1536MiB");
  EXPECT_EQ(size_to_string(7), "7B");
}

}  // namespace
}  // namespace pitr
