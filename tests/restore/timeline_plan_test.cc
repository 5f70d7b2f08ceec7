// Plans where several timelines are stored: which one is followed, and what is told of the others.

#include "restore/plan_fixture.h"

namespace pitr::test {
namespace {

using testing::HasSubstr;
using testing::Not;

// Timeline 2 leaves timeline 1 in the middle of segment 2; both go on.
class BranchTest : public PlanTest {
 protected:
  BranchTest() {
    back_up(0, 1);
    before_ = wal_.commit(100, at(10));
    next_segment();
    shared_ = wal_.commit(101, at(20));
    branch_ = wal_;
    switch_point_ = branch_.position();
    branch_.switch_timeline(TimelineId(2), at(50));
    on_two_ = branch_.commit(102, at(60));
    branch_.filler(4000);
    branch_.switch_segment();
    branch_.commit(103, at(70));
    on_one_ = wal_.commit(102, at(30));
    wal_.commit(103, at(40));
    wal_.restore_point("on_one", at(41));
    store_wal();
    store_wal(branch_, TimelineId(2), 2);
    const auto history =
        fmt::format("1\t{}\tno recovery target specified\n", to_string(switch_point_));
    take(archive_.put_file("00000002.history", as_bytes(history)));
  }

  WalBuilder branch_;
  BuiltRecord before_, shared_, on_one_, on_two_;
  Lsn switch_point_;
};

TEST_F(BranchTest, TheNewestTimelineIsTakenUnlessAnotherIsAskedFor) {
  auto found = take(plan(TargetTime{at(65)}));
  EXPECT_EQ(found.timeline(), TimelineId(2));
  EXPECT_EQ(found.last_kept->start, on_two_.start);
  EXPECT_EQ(found.segments,
            (std::vector<SegmentRun>{{TimelineId(1), 1, 1}, {TimelineId(2), 2, 3}}));
  EXPECT_EQ(found.timelines.size(), 2u);
  // Timeline 1 was over by then, as after a failover: no alarm in each restore ever after.
  EXPECT_EQ(found.warnings.size(), 0u);
  ASSERT_EQ(found.notes.size(), 1u);
  EXPECT_THAT(found.notes[0], HasSubstr("timeline 1 has transactions of its own"));

  found = take(plan(TargetTime{at(35)}, TimelineId(1)));
  EXPECT_EQ(found.last_kept->start, on_one_.start);
  EXPECT_EQ(found.segments, (std::vector<SegmentRun>{{TimelineId(1), 1, 2}}));
}

TEST_F(BranchTest, ATimeThatOnlyTheParentHasIsWarnedAbout) {
  const auto found = take(plan(TargetTime{at(35)}));
  EXPECT_EQ(found.timeline(), TimelineId(2));
  EXPECT_EQ(found.target_lsn, on_two_.start);
  EXPECT_EQ(found.last_kept->start, shared_.start);
  ASSERT_EQ(found.warnings.size(), 1u);
  EXPECT_THAT(found.warnings[0], HasSubstr("add --timeline 1"));
}

TEST_F(BranchTest, TheLastTransactionOfATimelineIsTheSameWhereverItIsTold) {
  const auto found = take(plan(TargetTime{at(35)}));
  ASSERT_EQ(found.timelines.size(), 2u);
  EXPECT_EQ(found.timelines[0].newest_xact, at(40));  // in a segment that isn't complete
  EXPECT_EQ(found.timelines[1].newest_xact, at(70));
  ASSERT_TRUE(found.timelines[0].left_behind);
  EXPECT_EQ(found.timelines[0].left_behind->start, on_one_.start);
  EXPECT_FALSE(found.timelines[1].left_behind);
  EXPECT_THAT(found.warnings[0],
              HasSubstr(fmt::format("from {} to {}", to_string(at(30)), to_string(at(40)))));
}

TEST_F(BranchTest, LatestTellsOfWhatWasLeftBehind) {
  const auto found = take(plan(TargetLatest()));
  EXPECT_EQ(found.timeline(), TimelineId(2));
  EXPECT_FALSE(found.first_dropped);
  ASSERT_TRUE(found.timelines[0].left_behind);
  ASSERT_EQ(found.notes.size(), 1u);
  EXPECT_THAT(found.notes[0], HasSubstr("add --timeline 1"));
  // Who asks for a timeline knows of the other one, and is told without alarm.
  const auto asked_for = take(plan(TargetLatest(), TimelineId(1)));
  EXPECT_EQ(asked_for.warnings.size(), 0u);
  ASSERT_EQ(asked_for.notes.size(), 1u);
  EXPECT_THAT(asked_for.notes[0], HasSubstr("add --timeline 2"));
}

TEST_F(BranchTest, AnIdThatBothTimelinesUsedIsWarnedAbout) {
  const auto found = take(plan(TargetXid{102}));
  EXPECT_EQ(found.target_lsn, on_two_.start);
  ASSERT_EQ(found.warnings.size(), 1u);
  EXPECT_THAT(found.warnings[0], HasSubstr("one of them is 102 too"));
  EXPECT_EQ(take(plan(TargetXid{101})).warnings.size(), 0u);
}

TEST_F(BranchTest, ARefusalNamesTheTimelineThatReachesTheTarget) {
  const auto on_one = refusal(TargetName{"on_one"});
  EXPECT_EQ(on_one.kind(), ErrorKind::kNotFound);
  EXPECT_THAT(on_one.hint(), HasSubstr("timeline 1 reaches it: --timeline 1"));
  EXPECT_THAT(refusal(TargetTime{at(65)}, TimelineId(1)).hint(), HasSubstr("--timeline 2"));
  EXPECT_THAT(refusal(TargetName{"nowhere"}).hint(), Not(HasSubstr("--timeline")));
  EXPECT_THAT(refusal(TargetLatest(), TimelineId(9)).hint(), Not(HasSubstr("--timeline")));
}

// A restore to before timeline 2 was made: timeline 3 and timeline 2 know nothing of each other.
class UndoneTest : public PlanTest {
 protected:
  UndoneTest() {
    back_up(0, 1);
    wal_.commit(100, at(10));
    auto undone = wal_;
    wal_.commit(101, at(20));
    auto second = wal_;
    const auto left = second.position();
    second.switch_timeline(TimelineId(2), at(25));
    second.commit(102, at(30));
    second.commit(103, at(40));
    const auto back_to = undone.position();
    undone.switch_timeline(TimelineId(3), at(50));
    undone.commit(101, at(60));
    store_wal();
    store_wal(second, TimelineId(2), 1);
    store_wal(undone, TimelineId(3), 1);
    put_history(TimelineId(2), left);
    put_history(TimelineId(3), back_to);
  }
  void put_history(TimelineId timeline, Lsn left_one_at) {
    const auto text = fmt::format("1\t{}\tat an LSN\n", to_string(left_one_at));
    take(archive_.put_file(history_file_name(timeline), as_bytes(text)));
  }
};

TEST_F(UndoneTest, AMomentOfATimelineThatIsNoAncestorIsWarnedAbout) {
  const auto found = take(plan(TargetTime{at(35)}));
  EXPECT_EQ(found.timeline(), TimelineId(3));
  EXPECT_EQ(found.last_kept->xid, 100u);
  ASSERT_EQ(found.warnings.size(), 2u);
  EXPECT_THAT(found.warnings[0], HasSubstr("add --timeline 1"));
  EXPECT_THAT(found.warnings[1], HasSubstr("add --timeline 2"));
  EXPECT_EQ(found.timelines[1].newest_xact, at(40));
  EXPECT_EQ(take(plan(TargetTime{at(35)}, TimelineId(2))).last_kept->xid, 102u);
  // Before anything that only one of them has.
  EXPECT_EQ(take(plan(TargetTime{at(15)})).warnings.size(), 0u);
  EXPECT_EQ(take(plan(TargetTime{at(25)})).warnings.size(), 1u);
}

TEST_F(BranchTest, ATargetOfTheOldTimelineMayLieInTheNewOnesSegment) {
  const auto found = take(plan(TargetTime{at(15)}));
  EXPECT_EQ(found.target_lsn, shared_.start);
  EXPECT_LT(found.target_lsn, switch_point_);
  EXPECT_EQ(found.segments,
            (std::vector<SegmentRun>{{TimelineId(1), 1, 1}, {TimelineId(2), 2, 2}}));
}

TEST_F(UndoneTest, WhatATimelinesFirstSegmentHasOfItsParentIsNotItsOwn) {
  auto idle = wal_;
  put_history(TimelineId(4), idle.position());
  idle.switch_timeline(TimelineId(4), at(70));
  store_wal(idle, TimelineId(4), 1);
  const auto as_tail = take(plan(TargetTime{at(15)}));
  EXPECT_EQ(as_tail.timelines[0].newest_xact, at(20));
  EXPECT_FALSE(as_tail.timelines[3].newest_xact);

  idle.filler(4000);
  idle.switch_segment();
  idle.filler(100);
  take(archive_.remove_tails({TimelineId(4), 1}));
  store_wal(idle, TimelineId(4), 1);
  EXPECT_FALSE(take(plan(TargetTime{at(15)})).timelines[3].newest_xact);
  const auto latest = take(plan(TargetLatest()));
  ASSERT_EQ(latest.warnings.size(), 2u);
  EXPECT_THAT(latest.warnings[0], HasSubstr("add --timeline 2"));
  EXPECT_THAT(latest.warnings[1], HasSubstr("add --timeline 3"));
}

}  // namespace
}  // namespace pitr::test
