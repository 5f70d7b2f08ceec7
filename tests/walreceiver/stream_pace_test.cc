#include "walreceiver/stream_pace.h"

#include <gtest/gtest.h>

namespace pitr::test {
namespace {

constexpr StreamPace::Limits kLimits{Milliseconds(5'000), Milliseconds(60'000)};
const SteadyTime kStart{std::chrono::hours(1)};

TEST(StreamPace, LooksAtOnceAndThenOnceInAnInterval) {
  StreamPace pace(kLimits, kStart);
  EXPECT_TRUE(pace.is_time_to_look(kStart));
  pace.note_look(kStart);
  EXPECT_FALSE(pace.is_time_to_look(kStart + Milliseconds(4'999)));
  EXPECT_TRUE(pace.is_time_to_look(kStart + Milliseconds(5'000)));
  EXPECT_EQ(pace.longest_pause(kStart, false), Milliseconds(5'000));
}

TEST(StreamPace, AnIdleServerIsLookedAtHalfAsOften) {
  StreamPace pace(kLimits, kStart);
  const auto last_second = kStart + Seconds(59);
  pace.note_look(last_second - Seconds(5));
  EXPECT_TRUE(pace.is_time_to_look(last_second));
  const auto idle = kStart + Seconds(60);
  pace.note_look(idle - Milliseconds(9'999));
  EXPECT_FALSE(pace.is_time_to_look(idle));
  EXPECT_TRUE(pace.is_time_to_look(idle + Milliseconds(1)));
  EXPECT_EQ(pace.longest_pause(idle, false), Milliseconds(10'000));
  // Words of the server are no sign of work, WAL is: at once.
  pace.note_word(idle);
  EXPECT_FALSE(pace.is_time_to_look(idle));
  pace.note_wal(idle);
  EXPECT_TRUE(pace.is_time_to_look(idle));
}

TEST(StreamPace, TheEndOfALookIsWaitedForAWhile) {
  StreamPace pace(kLimits, kStart);
  pace.note_look(kStart);
  EXPECT_EQ(pace.longest_pause(kStart + Milliseconds(999), true), Milliseconds(20));
  EXPECT_EQ(pace.longest_pause(kStart + Milliseconds(999), false), Milliseconds(5'000));
  EXPECT_EQ(pace.longest_pause(kStart + Milliseconds(1'000), true), Milliseconds(5'000));
}

TEST(StreamPace, ASilentServerIsAskedAndThenGivenUp) {
  StreamPace pace(kLimits, kStart);
  EXPECT_FALSE(pace.is_time_to_ask(kStart + Milliseconds(14'999)));
  EXPECT_TRUE(pace.is_time_to_ask(kStart + Seconds(15)));
  EXPECT_TRUE(pace.check_silence(kStart + Seconds(60)).has_value());
  const auto given_up = pace.check_silence(kStart + Milliseconds(60'001));
  ASSERT_FALSE(given_up.has_value());
  EXPECT_EQ(given_up.error().kind(), ErrorKind::kTransient);
  EXPECT_EQ(given_up.error().message(),
            "the server has said nothing for 60 s, though it was asked");
  pace.note_word(kStart + Seconds(60));
  EXPECT_FALSE(pace.is_time_to_ask(kStart + Seconds(61)));
  pace.note_wal(kStart + Seconds(100));
  EXPECT_TRUE(pace.check_silence(kStart + Seconds(160)).has_value());
}

}  // namespace
}  // namespace pitr::test
