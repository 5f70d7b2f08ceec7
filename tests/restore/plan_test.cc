// The planner on WAL that the test writes itself: which backup, which record, and what is refused.

#include "restore/plan_fixture.h"

namespace pitr::test {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST_F(PlanTest, ATimeBetweenCommitsEndsBeforeTheFirstLaterOne) {
  back_up(0, 1);
  const auto kept = wal_.commit(100, at(10));
  next_segment();
  const auto before = wal_.filler(300);
  const auto dropped = wal_.commit(101, at(20));
  wal_.commit(102, at(30));
  store_wal();
  const auto found = take(plan(TargetTime{at(15)}));
  EXPECT_EQ(found.target_lsn, dropped.start);
  EXPECT_FALSE(found.inclusive);
  EXPECT_EQ(found.end, before.end);
  EXPECT_EQ(found.target_record_end, dropped.end);
  ASSERT_TRUE(found.last_kept && found.first_dropped);
  EXPECT_EQ(found.last_kept->start, kept.start);
  EXPECT_EQ(found.last_kept->xid, 100u);
  EXPECT_EQ(found.first_dropped->xid, 101u);
  EXPECT_EQ(found.segments, (std::vector<SegmentRun>{{TimelineId(1), 1, 2}}));
  EXPECT_EQ(found.cut_off.count, 0u);
}

TEST_F(PlanTest, EqualTimesAreKeptOrDroppedTogether) {
  back_up(0, 1);
  const auto first = wal_.commit(100, at(10));
  wal_.commit(101, at(10));
  const auto later = wal_.abort(102, at(11));
  store_wal();
  EXPECT_EQ(take(plan(TargetTime{at(10)})).target_lsn, later.start);
  EXPECT_EQ(take(plan(TargetTime{at(10), false})).target_lsn, first.start);
}

TEST_F(PlanTest, CommitsThatALaterOneCutsOffAreListed) {
  back_up(0, 1);
  wal_.commit(100, at(10));
  const auto later = wal_.commit(101, at(20));
  next_segment();
  for (std::uint32_t i = 0; i < 12; ++i) wal_.commit(200 + i, at(14 + 0.01 * i));
  wal_.commit(300, at(30));
  store_wal();
  const auto found = take(plan(TargetTime{at(15)}));
  EXPECT_EQ(found.target_lsn, later.start);
  EXPECT_EQ(found.cut_off.count, 12u);
  ASSERT_EQ(found.cut_off.commits.size(), 10u);
  EXPECT_EQ(found.cut_off.commits.front().xid, 200u);
  EXPECT_EQ(found.cut_off.largest_skew, Microseconds(6'000'000));
  ASSERT_EQ(found.warnings.size(), 1u);
  EXPECT_THAT(found.warnings[0], HasSubstr("12 commits with times up to the target"));
}

TEST_F(PlanTest, ATimeBeforeABackupsStopTakesAnOlderBackupOrIsRefused) {
  back_up(0, 1);
  wal_.commit(100, at(10));
  const auto dropped = wal_.commit(101, at(20));
  back_up(21, 22);
  wal_.commit(102, at(40));
  store_wal();
  auto found = take(plan(TargetTime{at(15)}));
  EXPECT_EQ(found.backup.id, backups_[0].id);
  EXPECT_EQ(found.target_lsn, dropped.start);
  EXPECT_EQ(take(plan(TargetTime{at(30)})).backup.id, backups_[1].id);
  const auto error = refusal(TargetTime{at(0.5)});
  EXPECT_EQ(error.kind(), ErrorKind::kInvalid);
  EXPECT_THAT(error.hint(), HasSubstr(to_string(at(1))));
}

TEST_F(PlanTest, ABackupWithALaterCommitInsideCannotReachTheTime) {
  inside_ = [&] { wal_.commit(50, at(9)); };  // a clock that was ahead
  back_up(0, 1);
  wal_.commit(100, at(10));
  store_wal();
  const auto error = refusal(TargetTime{at(5)});
  EXPECT_THAT(error.message(), HasSubstr("contains the commit of transaction 50"));
  EXPECT_THAT(error.hint(), HasSubstr(to_string(at(9))));
}

TEST_F(PlanTest, ATimeBehindAllCommitsNeedsAWatermarkThatIsReached) {
  back_up(0, 1);
  wal_.commit(100, at(10));
  const auto last = wal_.filler(100);
  store_wal();
  EXPECT_THAT(refusal(TargetTime{at(15)}).message(), HasSubstr("nothing says that no later one"));
  set_watermark(last.end, 14);
  EXPECT_THAT(refusal(TargetTime{at(15)}).message(), HasSubstr("known to be complete until"));
  const auto found = take(plan(TargetTime{at(14)}));
  EXPECT_EQ(found.target_lsn, last.start);
  EXPECT_TRUE(found.inclusive);
  EXPECT_EQ(found.end, last.end);
  // There was more once, and it isn't stored.
  set_watermark(last.end + 4096, 20);
  EXPECT_THAT(refusal(TargetTime{at(15)}).message(), HasSubstr("WAL is missing"));
  EXPECT_THAT(refusal(TargetLatest()).message(), HasSubstr("WAL is missing"));
}

// What a hint offers keeps the last commit, or says that it doesn't.
TEST_F(PlanTest, AHintForATimeThatIsTooLateSaysWhatBecomesOfTheLastCommit) {
  back_up(0, 1);
  auto error = (store_wal(), refusal(TargetTime{at(15)}));
  EXPECT_THAT(error.message(), HasSubstr("no transaction is stored since the backup began, and"));
  EXPECT_EQ(error.hint(), "--latest restores all that is stored");
  take(archive_.remove_tails({TimelineId(1), 1}));
  wal_.commit(100, at(10));
  store_wal();
  error = refusal(TargetTime{at(15)});
  EXPECT_THAT(error.message(), HasSubstr("the last transaction stored is of " + to_string(at(10))));
  EXPECT_THAT(error.hint(), HasSubstr("--latest restores all that is stored"));
  EXPECT_THAT(error.hint(), HasSubstr("has to be before that, and leaves this transaction out"));
  EXPECT_THAT(refusal(TargetTime{at(15)}, TimelineId(1)).hint(),
              HasSubstr("--latest --timeline 1 restores"));

  set_watermark(wal_.position(), 12);
  error = refusal(TargetTime{at(15)});
  EXPECT_THAT(error.hint(), HasSubstr(to_string(at(12)) +
                                      " is the last time that can be reached "
                                      "exactly, with the last transaction, of " +
                                      to_string(at(10))));
  EXPECT_EQ(take(plan(TargetTime{at(12)})).last_kept->xid, 100u);
  EXPECT_EQ(take(plan(TargetTime{at(10)})).last_kept->xid, 100u);
}

TEST_F(PlanTest, AMomentOfJustNowMayBeReachedSomeSecondsLater) {
  back_up(0, 1);
  wal_.commit(100, at(10));
  store_wal();
  set_watermark(wal_.position(), 200);
  plan_clock_.set(at(210));
  const auto error = refusal(TargetTime{at(205)});
  EXPECT_EQ(error.kind(), ErrorKind::kTransient);
  EXPECT_THAT(error.hint(), HasSubstr("try again in some seconds"));
  // A clock that is hours behind or a little ahead, but the watermark is near.
  plan_clock_.set(at(-9000));
  EXPECT_EQ(refusal(TargetTime{at(205)}).kind(), ErrorKind::kTransient);
  plan_clock_.set(at(500));
  EXPECT_EQ(refusal(TargetTime{at(205)}).kind(), ErrorKind::kTransient);
  // Nothing moves any more, or the time is still far away.
  plan_clock_.set(at(900));
  EXPECT_EQ(refusal(TargetTime{at(205)}).kind(), ErrorKind::kInvalid);
  plan_clock_.set(at(210));
  EXPECT_EQ(refusal(TargetTime{at(300)}).kind(), ErrorKind::kInvalid);
  // What is missing is more than the watermark.
  set_watermark(wal_.position() + 4096, 201);
  EXPECT_EQ(refusal(TargetTime{at(205)}).kind(), ErrorKind::kInvalid);
}

TEST_F(PlanTest, TimesAreSaidInTheZoneOfThePlan) {
  back_up(0, 1);
  wal_.commit(100, at(10));
  store_wal();
  zone_ = "Europe/Berlin";
  const auto error = refusal(TargetTime{at(15)});
  EXPECT_THAT(error.message(), HasSubstr("time 2026-03-01 13:00:15.000000+01:00 lies behind"));
  EXPECT_THAT(error.hint(), HasSubstr("2026-03-01 13:00:10.000000+01:00"));
  EXPECT_THAT(error.hint(), Not(HasSubstr("+00")));
  EXPECT_THAT(refusal(TargetTime{at(0)}).hint(), HasSubstr("2026-03-01 13:00:01.000000+01:00"));
}

TEST_F(PlanTest, AHoleBeforeTheTargetIsNamedAndOneBehindItDoesNoHarm) {
  back_up(0, 1);
  wal_.commit(100, at(10));
  const auto second = wal_.commit(101, at(20));
  next_segment();
  next_segment();
  wal_.commit(102, at(30));
  wal_.commit(103, at(40));
  store_wal(/*without=*/2);
  EXPECT_EQ(take(plan(TargetTime{at(15)})).target_lsn, second.start);
  for (const RestoreTarget& target :
       {RestoreTarget(TargetTime{at(35)}), RestoreTarget(TargetLatest()),
        RestoreTarget(TargetLsn{wal_.position() - 8})}) {
    EXPECT_THAT(refusal(target).message(), HasSubstr("000000010000000000000002 is not in"));
  }
}

TEST_F(PlanTest, LsnsFollowPostgresqlsRule) {
  back_up(0, 1);
  const auto before = wal_.filler(100);
  const auto record = wal_.commit(100, at(10));
  wal_.commit(101, at(11));
  store_wal();
  auto found = take(plan(TargetLsn{record.start}));
  EXPECT_EQ(found.target_lsn, record.start);
  EXPECT_EQ(found.end, record.end);
  found = take(plan(TargetLsn{before.start + 1}));
  EXPECT_EQ(found.target_lsn, record.start);
  found = take(plan(TargetLsn{record.start, false}));
  EXPECT_EQ(found.end, before.end);
  EXPECT_FALSE(found.inclusive);
  EXPECT_EQ(found.first_dropped->xid, 100u);
  // pg_current_wal_lsn() at the very end: nothing starts there.
  found = take(plan(TargetLsn{wal_.position()}));
  EXPECT_EQ(found.end, wal_.records().back().end);
  EXPECT_THAT(refusal(TargetLsn{wal_.position() + 100}).message(), HasSubstr("is not in"));
  EXPECT_THAT(refusal(TargetLsn{backups_[0].start_lsn}).message(), HasSubstr("consistent from"));
}

TEST_F(PlanTest, XidsAreFoundWhereverTheyEndAndWrapsAreTold) {
  back_up(0, 1);
  wal_.commit(4294967290u, at(9));
  const auto first = wal_.commit(7, at(10));
  next_segment();
  const auto prepared = wal_.commit_prepared(8, at(11));
  const auto again = wal_.abort(7, at(12));
  store_wal();
  auto found = take(plan(TargetXid{8}));
  EXPECT_EQ(found.target_lsn, prepared.start);
  found = take(plan(TargetXid{7}));
  EXPECT_EQ(found.target_lsn, first.start);
  ASSERT_EQ(found.warnings.size(), 1u);
  EXPECT_THAT(found.warnings[0], HasSubstr(to_string(again.start)));
  EXPECT_EQ(take(plan(TargetXid{7, false})).first_dropped->start, first.start);
  EXPECT_EQ(refusal(TargetXid{9}).kind(), ErrorKind::kNotFound);
}

TEST_F(PlanTest, TheFirstRestorePointBehindTheNewestBackupThatHasOneIsTaken) {
  back_up(0, 1);
  const auto first = wal_.restore_point("release", at(5));
  const auto second = wal_.restore_point("release", at(6));
  back_up(10, 11);
  const auto third = wal_.restore_point("other", at(12));
  store_wal();
  auto found = take(plan(TargetName{"release"}));
  EXPECT_EQ(found.backup.id, backups_[0].id);
  EXPECT_EQ(found.target_lsn, first.start);
  ASSERT_EQ(found.warnings.size(), 1u);
  EXPECT_THAT(found.warnings[0], HasSubstr(to_string(second.start)));
  EXPECT_EQ(take(plan(TargetName{"other"})).target_lsn, third.start);
  EXPECT_EQ(refusal(TargetName{"none"}).kind(), ErrorKind::kNotFound);
}

TEST_F(PlanTest, AMistypedRestorePointIsAnsweredWithThoseThatAreStored) {
  back_up(0, 1);
  EXPECT_EQ((store_wal(), refusal(TargetName{"none"})).hint(), "no restore point is stored");
  take(archive_.remove_tails({TimelineId(1), 1}));
  for (int i = 1; i <= 6; ++i) wal_.restore_point(fmt::format("release {}", i), at(i));
  next_segment();
  for (int i = 7; i <= 12; ++i) wal_.restore_point(fmt::format("release {}", i), at(i));
  store_wal();
  const auto hint = refusal(TargetName{"relaese 12"}).hint();
  EXPECT_THAT(hint, HasSubstr("the newest first: \"release 12\" (" + to_string(at(12)) + ")"));
  EXPECT_THAT(hint, HasSubstr("\"release 3\" (" + to_string(at(3)) + "), and older ones"));
  EXPECT_THAT(hint, Not(HasSubstr("\"release 2\"")));
}

TEST_F(PlanTest, ImmediateEndsWithTheBackupAndLatestWithTheLastRecord) {
  back_up(0, 1);
  const auto stop = wal_.records().back();
  wal_.commit(100, at(10));
  const auto last = wal_.filler(200);
  store_wal();
  const auto immediate = take(plan(TargetImmediate()));
  EXPECT_EQ(immediate.end, stop.end);
  EXPECT_FALSE(immediate.last_kept);
  ASSERT_TRUE(immediate.first_dropped);
  EXPECT_EQ(immediate.first_dropped->xid, 100u);
  const auto found = take(plan(TargetLatest()));
  EXPECT_EQ(found.target_lsn, last.start);
  EXPECT_TRUE(found.inclusive);
  EXPECT_EQ(found.end, last.end);
  EXPECT_FALSE(found.first_dropped);
  EXPECT_FALSE(found.hole);
}

TEST_F(PlanTest, WhatImmediateDropsIsFoundInLaterSegmentsToo) {
  back_up(0, 1);
  for (int i = 0; i < 3; ++i) next_segment();
  wal_.commit(100, at(10));
  next_segment();
  wal_.filler(100);
  store_wal();
  const auto found = take(plan(TargetImmediate()));
  EXPECT_EQ(found.segments, (std::vector<SegmentRun>{{TimelineId(1), 1, 1}}));
  ASSERT_TRUE(found.first_dropped);
  EXPECT_EQ(found.first_dropped->xid, 100u);
}

TEST_F(PlanTest, AHoleBehindTheTargetIsNotTakenForTheEndOfWhatIsStored) {
  back_up(0, 1);
  next_segment();
  next_segment();
  wal_.commit(100, at(10));
  store_wal(/*without=*/2);
  for (const RestoreTarget& target :
       {RestoreTarget(TargetImmediate()), RestoreTarget(TargetLsn{backups_[0].stop_lsn})}) {
    const auto found = take(plan(target));
    EXPECT_FALSE(found.first_dropped);
    ASSERT_TRUE(found.hole);
    EXPECT_LE(*found.hole, wal_.options().segment_size.start_of(2));
  }
}

TEST_F(PlanTest, UnknownTimelinesAndMissingBackupsAreRefused) {
  EXPECT_EQ(refusal(TargetLatest()).kind(), ErrorKind::kNotFound);
  back_up(0, 1);
  wal_.commit(100, at(10));
  store_wal();
  const auto error = refusal(TargetLatest(), TimelineId(3));
  EXPECT_EQ(error.kind(), ErrorKind::kNotFound);
  EXPECT_THAT(error.hint(), HasSubstr("stored are: 1"));
  const auto other = BackupId::make(at(77), 5);
  EXPECT_EQ(plan(TargetLatest(), {}, other).error().kind(), ErrorKind::kNotFound);
}

}  // namespace
}  // namespace pitr::test
