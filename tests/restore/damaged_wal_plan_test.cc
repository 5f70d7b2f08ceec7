// Damage in the stored WAL: what lies before the target is refused, what lies behind it is told of,
// and the end of the last tail is never cut off in silence.

#include "restore/plan_fixture.h"
#include "restore/recovery/wal_supply.h"

namespace pitr::test {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class DamagedWalPlanTest : public PlanTest {
 protected:
  ObjectKey last_tail() {
    const SegmentId last{TimelineId(1), wal_.last_segment()};
    return take(list_tails(store_, last)).back();
  }
  Bytes get(const ObjectKey& key) { return take(storage_.get(key, 1 << 24)); }
  void replace(const ObjectKey& key, const Bytes& bytes) {
    take(storage_.remove(key));
    take(storage_.put(key, bytes));
  }
  void flip(const ObjectKey& key, std::size_t from_end) {
    auto bytes = get(key);
    bytes.at(bytes.size() - from_end) ^= 0x40;
    replace(key, bytes);
  }
  void cut(const ObjectKey& key, std::size_t size_bytes) {
    auto bytes = get(key);
    bytes.resize(bytes.size() - size_bytes);
    replace(key, bytes);
  }
  // Everything written so far, then the rest, as two appends to the last tail.
  void store_in_two_appends(const std::function<void()>& write_more) {
    store_wal();
    const auto size = wal_.options().segment_size;
    const SegmentId last{TimelineId(1), wal_.last_segment()};
    const auto first_end = wal_.position();
    take(archive_.remove_tails(last));
    auto tail = take(archive_.start_tail(last, 0));
    const auto from = size.start_of(last.number) - wal_.start();
    take(tail->append(ByteView(wal_.bytes()).subspan(from)));
    write_more();
    ASSERT_EQ(wal_.last_segment(), last.number);
    take(tail->append(ByteView(wal_.bytes()).subspan(first_end - wal_.start())));
  }
};

TEST_F(DamagedWalPlanTest, LatestTellsOfATornEnd) {
  back_up(0, 1);
  const auto kept = wal_.commit(100, at(10));
  store_in_two_appends([&] { wal_.commit(101, at(20)); });
  EXPECT_THAT(take(plan(TargetLatest())).warnings, IsEmpty());
  const auto whole = get(last_tail());
  for (std::size_t size = 1; size < 40; size += 13) {
    cut(last_tail(), size);
    const auto found = take(plan(TargetLatest()));
    EXPECT_EQ(found.last_kept->start, kept.start);
    ASSERT_EQ(found.warnings.size(), 1u);
    EXPECT_THAT(found.warnings[0], HasSubstr("bytes that cannot be read, in"));
    EXPECT_THAT(found.warnings[0], HasSubstr(last_tail().text()));
    EXPECT_THAT(found.warnings[0], HasSubstr(to_string(kept.end)));
    replace(last_tail(), whole);
  }
  auto zeroed = whole;
  std::fill(zeroed.end() - 30, zeroed.end(), 0);
  replace(last_tail(), zeroed);
  EXPECT_EQ(take(plan(TargetLatest())).warnings.size(), 1u);
  // A target that is there needs no more.
  EXPECT_THAT(take(plan(TargetXid{100})).warnings, IsEmpty());
  // What the watermark covers was acknowledged.
  set_watermark(wal_.position(), 21);
  EXPECT_THAT(refusal(TargetLatest()).message(), HasSubstr("WAL is missing"));
}

TEST_F(DamagedWalPlanTest, AChangedEndOfTheLastTailIsRefusedAndTheFixIsSaid) {
  back_up(0, 1);
  const auto kept = wal_.commit(100, at(10));
  store_in_two_appends([&] { wal_.commit(101, at(20)); });
  flip(last_tail(), 20);
  const auto error = refusal(TargetLatest());
  EXPECT_EQ(error.kind(), ErrorKind::kCorrupt);
  EXPECT_THAT(error.message(), HasSubstr(last_tail().text() + " is damaged"));
  EXPECT_THAT(error.hint(), HasSubstr("--lsn " + to_string(kept.start)));
  EXPECT_EQ(refusal(TargetTime{at(15)}).kind(), ErrorKind::kCorrupt);
  EXPECT_EQ(refusal(TargetXid{101}).kind(), ErrorKind::kCorrupt);
  EXPECT_EQ(refusal(TargetName{"release"}).kind(), ErrorKind::kCorrupt);

  // What the hint says, can be had: of the plan, and of what recovery asks for.
  const auto found = take(plan(TargetLsn{kept.start}));
  EXPECT_EQ(found.end, kept.end);
  EXPECT_THAT(found.warnings, ElementsAre(HasSubstr("WAL behind the target is damaged")));
  RecoveryPlan recovery;
  recovery.system_identifier = wal_.options().system_identifier;
  recovery.segment_size_bytes = wal_.options().segment_size.bytes();
  recovery.timeline = TimelineId(1);
  recovery.new_timeline = TimelineId(2);
  recovery.segments = found.segments;
  recovery.target_record_end = found.target_record_end;
  const auto name = segment_file_name({TimelineId(1), wal_.last_segment()}, found.segment_size);
  EXPECT_TRUE(take(WalSupply(archive_, recovery).get(name)));
  recovery.target_record_end = wal_.position();
  EXPECT_EQ(WalSupply(archive_, recovery).get(name).error().kind(), ErrorKind::kCorrupt);
}

TEST_F(DamagedWalPlanTest, ATimeThatTheWatermarkCoversIsReachedBeforeDamage) {
  back_up(0, 1);
  const auto kept = wal_.commit(100, at(10));
  store_in_two_appends([&] { wal_.commit(101, at(20)); });
  set_watermark(kept.end, 15);
  flip(last_tail(), 20);
  EXPECT_EQ(take(plan(TargetTime{at(14)})).end, kept.end);
  EXPECT_EQ(refusal(TargetTime{at(16)}).kind(), ErrorKind::kCorrupt);
}

TEST_F(DamagedWalPlanTest, DamageBehindTheTargetIsToldAndDamageBeforeItIsRefused) {
  back_up(0, 1);
  const auto kept = wal_.commit(100, at(10));
  const auto dropped = wal_.commit(101, at(20));
  next_segment();
  wal_.commit(102, at(30));
  next_segment();
  wal_.commit(103, at(40));
  store_wal();
  // Segment 2 is read for what it holds: its facts are not there.
  const SegmentId second{TimelineId(1), 2};
  take(storage_.remove(store_.names().facts(second)));
  flip(store_.names().segment(second), 300);

  for (const RestoreTarget& target :
       {RestoreTarget(TargetTime{at(15)}), RestoreTarget(TargetLsn{kept.start}),
        RestoreTarget(TargetXid{100})}) {
    SCOPED_TRACE(to_string(target));
    const auto found = take(plan(target));
    EXPECT_EQ(found.last_kept->start, kept.start);
    EXPECT_EQ(found.first_dropped->start, dropped.start);
    ASSERT_FALSE(found.warnings.empty());
    EXPECT_THAT(found.warnings[0], HasSubstr("WAL behind the target is damaged"));
    EXPECT_THAT(found.warnings[0], HasSubstr(store_.names().segment(second).text()));
  }
  for (const RestoreTarget& target :
       {RestoreTarget(TargetTime{at(25)}), RestoreTarget(TargetTime{at(35)}),
        RestoreTarget(TargetXid{102}), RestoreTarget(TargetName{"none"}),
        RestoreTarget(TargetLatest())}) {
    SCOPED_TRACE(to_string(target));
    EXPECT_EQ(refusal(target).kind(), ErrorKind::kCorrupt);
  }
}

TEST_F(DamagedWalPlanTest, WhatOnlyTellsMoreMayBeDamaged) {
  back_up(0, 1);
  const auto kept = wal_.commit(100, at(10));
  next_segment();
  const auto other = wal_.commit(101, at(20));
  next_segment();
  wal_.commit(102, at(12));  // the clock went back
  next_segment();
  wal_.filler(100);
  store_wal();
  flip(store_.names().segment({TimelineId(1), 3}), 300);
  const auto found = take(plan(TargetTime{at(15)}));
  EXPECT_EQ(found.target_lsn, other.start);
  EXPECT_TRUE(found.cut_off.is_lower_bound);
  EXPECT_THAT(found.warnings, Contains(HasSubstr("not all WAL behind the target can be read")));
  // Where it's the next transaction that is told of, too.
  flip(store_.names().segment({TimelineId(1), 2}), 300);
  const auto at_first = take(plan(TargetLsn{kept.start}));
  EXPECT_FALSE(at_first.first_dropped.has_value());
  EXPECT_THAT(at_first.warnings, Contains(HasSubstr("not all WAL behind the target can be read")));
}

TEST_F(DamagedWalPlanTest, DamagedFactsAreMadeAgainFromTheSegments) {
  back_up(0, 1);
  wal_.commit(100, at(10));
  next_segment();
  const auto dropped = wal_.commit(101, at(20));
  next_segment();
  wal_.filler(100);
  store_wal();
  flip(store_.names().facts({TimelineId(1), 2}), 20);
  EXPECT_EQ(take(plan(TargetTime{at(15)})).target_lsn, dropped.start);
}

TEST_F(DamagedWalPlanTest, WalFarBehindTheTargetIsNotRead) {
  back_up(0, 1);
  for (std::uint32_t i = 0; i < 80; ++i) {
    wal_.commit(100 + i, at(10 + i));
    next_segment();
  }
  wal_.commit(300, at(200));
  store_wal();
  flip(last_tail(), 20);
  const auto time = take(plan(TargetTime{at(10.5)}));
  EXPECT_THAT(time.warnings, IsEmpty());
  EXPECT_EQ(time.first_dropped->xid, 101u);
  EXPECT_EQ(take(plan(TargetTime{at(60.5)})).warnings.size(), 1u);  // near enough
  const auto lsn = take(plan(TargetLsn{time.target_lsn}));
  EXPECT_THAT(lsn.warnings, IsEmpty());
  EXPECT_EQ(lsn.first_dropped->xid, 102u);
}

}  // namespace
}  // namespace pitr::test
