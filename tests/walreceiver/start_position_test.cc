#include "walreceiver/start_position.h"

namespace pitr {
namespace {

constexpr std::uint64_t kMiB = 1ull << 20;
const TimelineId kOne(1);
const TimelineId kTwo(2);

Lsn segment(std::uint64_t number, std::uint64_t offset = 0) {
  return Lsn(number * 16 * kMiB + offset);
}

TimelineHistory history_of_two(Lsn switch_point) {
  const auto text = "1\t" + to_string(switch_point) + "\tno recovery target specified\n";
  return TimelineHistory::parse(kTwo, text).value();
}

StartPosition choose(const TimelineHistory& history, ServerPosition server,
                     std::vector<StoredWal> stored) {
  return choose_start_position(SegmentSize(), history, server, stored).value();
}

const auto kFirst = TimelineHistory::without_ancestors(kOne);

TEST(StartPositionTest, AnEmptyRepositoryStartsWhereTheSlotHoldsWalNotWhereTheServerIs) {
  EXPECT_EQ(choose(kFirst, {segment(9, 5), false, segment(3, 40)}, {}),
            (StartPosition{kOne, segment(3), false}));
}

TEST(StartPositionTest, TheNewestStoredSegmentIsReceivedAgainAndCompared) {
  EXPECT_EQ(choose(kFirst, {segment(9, 5), false, segment(8)}, {{kOne, 7, segment(8)}}),
            (StartPosition{kOne, segment(7), true}));
  EXPECT_EQ(choose(kFirst, {segment(9, 5), false, segment(8)}, {{kOne, 8, segment(8, 100)}}),
            (StartPosition{kOne, segment(8), true}));
}

TEST(StartPositionTest, APrimaryBehindTheRepositoryIsAnAlarmAndAStandbyIsWaitedFor) {
  const std::vector<StoredWal> stored = {{kOne, 8, segment(8, 100)}};
  const auto primary = choose_start_position(SegmentSize(), kFirst, {segment(8, 99)}, stored);
  EXPECT_EQ(primary.error().kind(), ErrorKind::kConflict);
  const auto standby = choose_start_position(SegmentSize(), kFirst, {segment(8, 99), true}, stored);
  EXPECT_EQ(standby.error().kind(), ErrorKind::kTransient);
}

TEST(StartPositionTest, ATimelineThatIsThereDoesNotHideThatTheOneBeforeLacksWhatTheSlotHolds) {
  const auto history = history_of_two(segment(8, 500));
  const StoredWal two{kTwo, 9, segment(10)};
  const ServerPosition server{segment(12), false, segment(5, 40)};
  EXPECT_EQ(choose(history, server, {{kOne, 6, segment(7)}, two}),
            (StartPosition{kOne, segment(6), true}));
  EXPECT_EQ(choose(history, server, {{kOne, 8, segment(8, 500)}, two}),
            (StartPosition{kTwo, segment(9), true}));
  EXPECT_EQ(choose(history, server, {two}), (StartPosition{kOne, segment(5), false}));
  EXPECT_EQ(choose(history, {segment(12), false, segment(9)}, {{kOne, 6, segment(7)}, two}),
            (StartPosition{kTwo, segment(9), true}));
}

TEST(StartPositionTest, AnOldTimelineIsFinishedBeforeTheNextOneStarts) {
  const auto history = history_of_two(segment(8, 500));
  EXPECT_EQ(choose(history, {segment(12)}, {{kOne, 7, segment(7, 10)}}),
            (StartPosition{kOne, segment(7), true}));
}

TEST(StartPositionTest, WalBeyondTheSwitchPointDoesNotKeepTheNewTimelineFromItsOwnStart) {
  const auto history = history_of_two(segment(8, 500));
  EXPECT_EQ(choose(history, {segment(8, 900)}, {{kOne, 11, segment(11, 10)}}),
            (StartPosition{kTwo, segment(8), false}));
}

TEST(StartPositionTest, StoredWalOfTheNewestTimelineWins) {
  const auto history = history_of_two(segment(8, 500));
  EXPECT_EQ(choose(history, {segment(12)}, {{kOne, 11, segment(11)}, {kTwo, 9, segment(9, 7)}}),
            (StartPosition{kTwo, segment(9), true}));
}

TEST(StartPositionTest, ABranchThatIsNotInTheServersHistoryDoesNotCount) {
  EXPECT_EQ(choose(kFirst, {segment(9), false, segment(4)}, {{TimelineId(3), 20, segment(21)}}),
            (StartPosition{kOne, segment(4), false}));
}

}  // namespace
}  // namespace pitr
