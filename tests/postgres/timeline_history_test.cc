#include "postgres/timeline_history.h"

namespace pitr {
namespace {

const TimelineId k1(1);
const TimelineId k2(2);
const TimelineId k3(3);
const TimelineId k5(5);

TimelineHistory parsed(TimelineId timeline, std::string_view text) {
  auto history = TimelineHistory::parse(timeline, text);
  if (!history) throw std::runtime_error(history.error().message());
  return std::move(history).value();
}

TEST(TimelineHistoryTest, AncestryIsAnswered) {
  const auto history = parsed(k5,
                              "# by hand\n\n  \t\n"
                              "1\t0/3000000\tno recovery target specified\n"
                              "3\t0/5000000\tbefore 2026-01-01 00:00:00+00\n");
  ASSERT_EQ(history.ancestors().size(), 2u);
  EXPECT_EQ(history.ancestors()[1].reason, "before 2026-01-01 00:00:00+00");
  for (const auto timeline : {k1, k3, k5}) EXPECT_TRUE(history.contains(timeline));
  EXPECT_FALSE(history.contains(k2));
  EXPECT_EQ(history.switch_point(k1), Lsn(0x3000000));
  EXPECT_EQ(history.switch_point(k3), Lsn(0x5000000));
  EXPECT_FALSE(history.switch_point(k5));
  EXPECT_FALSE(history.switch_point(k2));
  EXPECT_EQ(history.begin_of(k1), Lsn());
  EXPECT_EQ(history.begin_of(k3), Lsn(0x3000000));
  EXPECT_EQ(history.begin_of(k5), Lsn(0x5000000));
  EXPECT_FALSE(history.begin_of(k2));
}

TEST(TimelineHistoryTest, ASwitchPointsByteBelongsToTheNewerTimeline) {
  const auto history = parsed(k3, "1\t0/3000000\tx\n2\t0/5000000\ty\n");
  EXPECT_EQ(history.timeline_at(Lsn(0x2FFFFFF)), k1);
  EXPECT_EQ(history.timeline_at(Lsn(0x3000000)), k2);
  EXPECT_EQ(history.timeline_at(Lsn(0x4FFFFFF)), k2);
  EXPECT_EQ(history.timeline_at(Lsn(0x5000000)), k3);
  EXPECT_TRUE(history.contains(k1, Lsn(0x3000000)));
  EXPECT_FALSE(history.contains(k1, Lsn(0x3000001)));
  EXPECT_TRUE(history.contains(k3, Lsn(0x9000000)));
  EXPECT_FALSE(history.contains(k5, Lsn(1)));
}

// Recovery with target timeline 2 that stopped before 2 began, as PostgreSQL writes it.
TEST(TimelineHistoryTest, ATimelineLeftBeforeItBeganHasNoPartInTheHistory) {
  const auto history = parsed(k3, "1\t0/5000000\tx\n2\t0/4000000\ty\n");
  EXPECT_EQ(history.timeline_at(Lsn(0x3000000)), k1);
  EXPECT_EQ(history.timeline_at(Lsn(0x4000000)), k3);
  EXPECT_EQ(history.timeline_at(Lsn(0x4800000)), k3);
  EXPECT_EQ(history.switch_point(k1), Lsn(0x4000000));
  EXPECT_FALSE(history.contains(k1, Lsn(0x4800000)));
}

TEST(TimelineHistoryTest, TimelineOneHasNoFile) {
  const auto history = TimelineHistory::without_ancestors(k1);
  EXPECT_TRUE(history.contains(k1));
  EXPECT_FALSE(history.contains(k2));
  EXPECT_EQ(history.timeline_at(Lsn(123)), k1);
}

TEST(TimelineHistoryTest, PaddedLsnsAndMissingReasonsAreAccepted) {
  const auto history = parsed(k2, "1 0/03000000");
  EXPECT_EQ(history.switch_point(k1), Lsn(0x3000000));
  EXPECT_EQ(history.ancestors()[0].reason, "");
}

TEST(TimelineHistoryTest, MalformedFilesAreCorrupt) {
  for (const auto* text : {"1\n", "1\t\n", "0/3000000\t1\tx\n", "one\t0/1\tx\n", "0\t0/1\tx\n",
                           "2\t0/1\tx\n1\t0/2\tx\n", "1\t0/1\tx\n1\t0/2\tx\n", "5\t0/1\tx\n",
                           "6\t0/1\tx\n", "1\t0\tx\n", "4294967296\t0/1\tx\n"}) {
    const auto history = TimelineHistory::parse(k5, text);
    ASSERT_FALSE(history.has_value()) << text;
    EXPECT_EQ(history.error().kind(), ErrorKind::kCorrupt) << text;
  }
}

}  // namespace
}  // namespace pitr
