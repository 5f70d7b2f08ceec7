#include "schedule/cron_expression.h"

namespace pitr {
namespace {

using testing::HasSubstr;

std::string problem_of(std::string_view text) {
  const auto parsed = CronExpression::parse(text);
  if (parsed) return "(accepted)";
  EXPECT_EQ(parsed.error().kind(), ErrorKind::kInvalid);
  return parsed.error().message();
}

TEST(CronExpression, SaysWhatIsWrong) {
  EXPECT_THAT(problem_of(""), HasSubstr("needs 5 fields"));
  EXPECT_THAT(problem_of("0 1 * *"), HasSubstr("needs 5 fields"));
  EXPECT_THAT(problem_of("0 0 1 * * *"), HasSubstr("needs 5 fields"));
  EXPECT_THAT(problem_of("60 1 * * *"), HasSubstr("\"60\" cannot be the minute"));
  EXPECT_THAT(problem_of("0 24 * * *"), HasSubstr("cannot be the hour"));
  EXPECT_THAT(problem_of("0 1 0 * *"), HasSubstr("it must be 1 to 31"));
  EXPECT_THAT(problem_of("0 1 * 13 *"), HasSubstr("or jan to dec"));
  EXPECT_THAT(problem_of("0 1 * * 8"), HasSubstr("or sun to sat"));
  EXPECT_THAT(problem_of("0 1 * jan,foo *"), HasSubstr("\"foo\" cannot be the month"));
  EXPECT_THAT(problem_of("-1 1 * * *"), HasSubstr("minute"));
  EXPECT_THAT(problem_of("1,,2 1 * * *"), HasSubstr("minute"));
  EXPECT_THAT(problem_of("*/0 1 * * *"), HasSubstr("the step must be 1 to 59"));
  EXPECT_THAT(problem_of("*/x 1 * * *"), HasSubstr("the step must be"));
  EXPECT_THAT(problem_of("5/10 1 * * *"), HasSubstr("write 5-59/"));
  EXPECT_THAT(problem_of("0 1 * * fri-mon"), HasSubstr("the range is empty"));
  EXPECT_THAT(problem_of("@reboot"), HasSubstr("@daily"));
  EXPECT_THAT(problem_of("0 0 30 2 *"), HasSubstr("no date fits"));
  EXPECT_THAT(problem_of("0 0 31 4,6,9,11 *"), HasSubstr("no date fits"));
}

TEST(CronExpression, TakesWordsAndBothNamesOfSunday) {
  for (const auto* text : {"@hourly", "@DAILY", "@midnight", "@weekly", "@monthly", "@yearly",
                           "@annually", " 0  1\t* * * ", "0 0 29 2 *", "0 0 30 2 mon",
                           "0 1 * * 5-7", "0 1 * * 0-7", "59 23 31 DEC Sat"}) {
    EXPECT_EQ(problem_of(text), "(accepted)") << text;
  }
  const std::chrono::sys_days sunday = std::chrono::year(2026) / 3 / 1;
  const std::chrono::days day(1);
  const auto until_sunday = CronExpression::parse("0 1 * * 5-7").value();
  EXPECT_TRUE(until_sunday.fits_date(sunday));
  EXPECT_TRUE(until_sunday.fits_date(sunday - day));
  EXPECT_FALSE(until_sunday.fits_date(sunday + day));
}

TEST(CronExpression, FindsLeapDaysAndWeekdaysFarAway) {
  const auto leap_day = CronExpression::parse("0 0 29 2 *").value();
  const std::chrono::sys_days after_2096 = std::chrono::year(2096) / 3 / 1;
  EXPECT_EQ(leap_day.next_date(after_2096),
            std::chrono::sys_days(std::chrono::year(2104) / 2 / 29));
  // Both, since one of them begins with "*".
  const auto on_a_monday = CronExpression::parse("0 0 */31 2 mon").value();
  EXPECT_EQ(on_a_monday.next_date(std::chrono::sys_days(std::chrono::year(2026) / 1 / 1)),
            std::chrono::sys_days(std::chrono::year(2027) / 2 / 1));
}

}  // namespace
}  // namespace pitr
