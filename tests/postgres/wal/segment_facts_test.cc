#include "postgres/wal/segment_facts.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "postgres/wal/decoded.h"
#include "support/must.h"

namespace pitr::test {
namespace {

using wal::Carry;
using wal::Head;
using wal::SegmentFacts;

SegmentFacts facts_of(const WalBuilder& wal, std::uint64_t number, std::optional<Carry> carry = {},
                      Carry* carry_out = nullptr) {
  return must(wal::build_segment_facts({wal.options().timeline, number}, decoder_options(wal),
                                       std::move(carry), wal.segment(number), carry_out));
}

// What only complete segments can be asked: the builder's last one is filled up.
void complete(WalBuilder& wal) {
  wal.switch_segment();
}

TEST(SegmentFacts, SayWhenTransactionsEnded) {
  WalBuilder wal;
  const Lsn first = wal.commit(700, kSomeTime + Seconds(10)).start;
  wal.abort(702, kSomeTime - Seconds(5));
  wal.commit_prepared(690, kSomeTime + Seconds(90));
  const Lsn last = wal.commit(703, kSomeTime + Seconds(11)).start;
  complete(wal);
  const auto facts = facts_of(wal, 1);
  EXPECT_EQ(facts.commits, 3u);
  EXPECT_EQ(facts.aborts, 1u);
  EXPECT_EQ(facts.first_xact, first);
  EXPECT_EQ(facts.last_xact, last);
  EXPECT_EQ(facts.first_xact_time, kSomeTime + Seconds(10));
  EXPECT_EQ(facts.last_xact_time, kSomeTime + Seconds(11));
  EXPECT_EQ(facts.min_xact_time, kSomeTime - Seconds(5));
  EXPECT_EQ(facts.max_xact_time, kSomeTime + Seconds(90));
  for (const std::uint32_t xid : {690u, 700u, 702u, 703u}) EXPECT_TRUE(facts.xids.may_hold(xid));
  for (const std::uint32_t xid : {689u, 695u, 701u, 704u}) EXPECT_FALSE(facts.xids.may_hold(xid));
  EXPECT_TRUE(facts.has_switch);
}

TEST(SegmentFacts, SayEverythingElseThatAPlanNeeds) {
  WalBuilder wal;
  const Lsn redo = wal.filler(100).start;
  wal.checkpoint(true, Lsn(0x28));
  const Lsn checkpoint = wal.checkpoint(false, redo).start;
  wal.restore_point("before", kSomeTime);
  wal.backup_end(redo);
  wal.parameter_change(1);
  complete(wal);
  auto facts = facts_of(wal, 1);
  EXPECT_EQ(facts.system_identifier, wal.options().system_identifier);
  EXPECT_EQ(facts.page_magic, 0xD110);
  EXPECT_EQ(facts.last_checkpoint->start, checkpoint);
  EXPECT_EQ(facts.last_checkpoint->redo, redo);
  ASSERT_EQ(facts.restore_points.size(), 1u);
  EXPECT_EQ(facts.restore_points[0].name, "before");
  EXPECT_EQ(facts.backup_ends, std::vector<Lsn>{redo});
  EXPECT_FALSE(facts.wal_level_minimal);
  EXPECT_FALSE(facts.has_end_of_recovery);
  EXPECT_FALSE(facts.has_overwrite_contrecord);
  EXPECT_FALSE(facts.has_xacts());

  WalBuilder other;
  other.parameter_change(0);
  other.crash_inside_record(20'000);
  other.switch_timeline(TimelineId(1), kSomeTime);
  complete(other);
  facts = facts_of(other, 1);
  EXPECT_TRUE(facts.wal_level_minimal);
  EXPECT_TRUE(facts.changes->distrusted());
  EXPECT_TRUE(facts.has_overwrite_contrecord);
  EXPECT_TRUE(facts.has_end_of_recovery);
}

TEST(SegmentFacts, ARecordBelongsToTheSegmentInWhichItEnds) {
  WalBuilder wal;
  const Lsn border = wal.start() + (1 << 20);
  wal.fill_to(border - 16);
  const Lsn commit = wal.commit(700, kSomeTime).start;
  const Lsn filler = wal.filler(100).start;
  complete(wal);
  Carry carry;
  const auto first = facts_of(wal, 1, {}, &carry);
  EXPECT_FALSE(first.has_xacts());
  EXPECT_EQ(first.head, Head::kClean);
  EXPECT_TRUE(first.linked);  // the first record of all
  EXPECT_EQ(first.partial_record, commit);

  const auto resolved = facts_of(wal, 2, carry);
  EXPECT_EQ(resolved.head, Head::kResolved);
  EXPECT_EQ(resolved.head_record, commit);
  EXPECT_EQ(resolved.first_record, commit);
  EXPECT_TRUE(resolved.linked);
  EXPECT_EQ(resolved.commits, 1u);
  EXPECT_TRUE(resolved.partial_record.is_none());

  const auto unresolved = facts_of(wal, 2);
  EXPECT_EQ(unresolved.head, Head::kUnresolved);
  EXPECT_EQ(unresolved.head_record, commit);  // as the next one's prev-link says
  EXPECT_EQ(unresolved.first_record, filler);
  EXPECT_FALSE(unresolved.linked);
  EXPECT_EQ(unresolved.commits, 0u);
}

TEST(SegmentFacts, SegmentsInsideOneRecordAreLinkedOnlyWhereItsBeginningIsKnown) {
  WalBuilder wal;
  wal.filler(100);
  const Lsn long_record = wal.filler(3'500'000).start;
  complete(wal);
  Carry carry;
  facts_of(wal, 1, {}, &carry);
  const auto middle = facts_of(wal, 2, carry);
  EXPECT_EQ(middle.head, Head::kResolved);
  EXPECT_EQ(middle.head_record, long_record);
  EXPECT_EQ(middle.partial_record, long_record);
  EXPECT_TRUE(middle.first_record.is_none());
  EXPECT_TRUE(middle.linked);
  const auto alone = facts_of(wal, 2);
  EXPECT_EQ(alone.head, Head::kUnresolved);
  EXPECT_TRUE(alone.head_record.is_none());
  EXPECT_FALSE(alone.linked);
}

TEST(SegmentFacts, ACleanBorderIsLinkedOnlyWithTheSegmentBefore) {
  WalBuilder wal;
  wal.filler(100);
  wal.switch_segment();
  wal.filler(100);
  complete(wal);
  Carry carry;
  facts_of(wal, 1, {}, &carry);
  EXPECT_FALSE(facts_of(wal, 2).linked);
  EXPECT_EQ(facts_of(wal, 2).head, Head::kClean);
  EXPECT_TRUE(facts_of(wal, 2, carry).linked);
}

TEST(SegmentFacts, ManyRestorePointsAreCutAndSayso) {
  WalBuilder wal;
  for (std::size_t i = 0; i <= SegmentFacts::kMaxRestorePoints; ++i) {
    wal.restore_point(std::to_string(i), kSomeTime);
  }
  complete(wal);
  const auto facts = facts_of(wal, 1);
  EXPECT_EQ(facts.restore_points.size(), SegmentFacts::kMaxRestorePoints);
  EXPECT_TRUE(facts.restore_points_cut);
}

TEST(SegmentFacts, OfAnIncompleteSegmentAreRefused) {
  WalBuilder wal;
  wal.filler(100);
  EXPECT_FALSE(
      wal::build_segment_facts({TimelineId(1), 1}, decoder_options(wal), {}, wal.segment(1)));
  EXPECT_FALSE(wal::build_segment_facts({TimelineId(1), 1}, decoder_options(wal), {}, wal.bytes()));
}

// ---- Byte form

SegmentFacts full_facts() {
  WalBuilder wal({.major = 18, .first_segment = 4095});
  wal.fill_to(wal.start() + (1 << 20) - 16);
  wal.commit(4'000'000'000, kSomeTime);
  for (std::uint32_t xid = 3; xid < 50; xid += 3) wal.commit(xid, kSomeTime - Seconds(xid));
  wal.abort(4'000'000'003, kSomeTime + Seconds(1));
  wal.restore_point("a", kSomeTime);
  wal.restore_point("b", kSomeTime - Seconds(1));
  wal.checkpoint(true, wal.position());
  wal.backup_end(wal.position() - 5000);
  wal.backup_end(wal.position());
  wal.heap_insert(50, 16384, 77, 20);
  wal.parameter_change(1, true);
  wal.parameter_change(2, false);
  wal.filler(2 << 20);
  complete(wal);
  Carry carry;
  facts_of(wal, 4095, {}, &carry);
  return facts_of(wal, 4096, carry);
}

void expect_equal(const SegmentFacts& a, const SegmentFacts& b) {
  EXPECT_EQ(a.segment, b.segment);
  EXPECT_EQ(a.segment_size, b.segment_size);
  EXPECT_EQ(a.system_identifier, b.system_identifier);
  EXPECT_EQ(a.page_magic, b.page_magic);
  EXPECT_EQ(a.head, b.head);
  EXPECT_EQ(a.head_record, b.head_record);
  EXPECT_EQ(a.linked, b.linked);
  EXPECT_EQ(a.first_record, b.first_record);
  EXPECT_EQ(a.first_record_previous, b.first_record_previous);
  EXPECT_EQ(a.last_record, b.last_record);
  EXPECT_EQ(a.last_record_end, b.last_record_end);
  EXPECT_EQ(a.partial_record, b.partial_record);
  EXPECT_EQ(a.commits, b.commits);
  EXPECT_EQ(a.aborts, b.aborts);
  EXPECT_EQ(a.first_xact, b.first_xact);
  EXPECT_EQ(a.last_xact, b.last_xact);
  EXPECT_EQ(a.first_xact_time, b.first_xact_time);
  EXPECT_EQ(a.last_xact_time, b.last_xact_time);
  EXPECT_EQ(a.min_xact_time, b.min_xact_time);
  EXPECT_EQ(a.max_xact_time, b.max_xact_time);
  EXPECT_EQ(a.xids, b.xids);
  ASSERT_EQ(a.restore_points.size(), b.restore_points.size());
  for (std::size_t i = 0; i < a.restore_points.size(); ++i) {
    EXPECT_EQ(a.restore_points[i].start, b.restore_points[i].start);
    EXPECT_EQ(a.restore_points[i].end, b.restore_points[i].end);
    EXPECT_EQ(a.restore_points[i].time, b.restore_points[i].time);
    EXPECT_EQ(a.restore_points[i].name, b.restore_points[i].name);
  }
  EXPECT_EQ(a.restore_points_cut, b.restore_points_cut);
  ASSERT_EQ(a.last_checkpoint.has_value(), b.last_checkpoint.has_value());
  if (a.last_checkpoint) {
    EXPECT_EQ(a.last_checkpoint->start, b.last_checkpoint->start);
    EXPECT_EQ(a.last_checkpoint->redo, b.last_checkpoint->redo);
    EXPECT_EQ(a.last_checkpoint->timeline, b.last_checkpoint->timeline);
    EXPECT_EQ(a.last_checkpoint->is_shutdown, b.last_checkpoint->is_shutdown);
  }
  EXPECT_EQ(a.backup_ends, b.backup_ends);
  EXPECT_EQ(a.has_switch, b.has_switch);
  EXPECT_EQ(a.has_overwrite_contrecord, b.has_overwrite_contrecord);
  EXPECT_EQ(a.has_end_of_recovery, b.has_end_of_recovery);
  EXPECT_EQ(a.wal_level_minimal, b.wal_level_minimal);
  EXPECT_EQ(a.parameter_changes, b.parameter_changes);
  ASSERT_EQ(a.changes.has_value(), b.changes.has_value());
  EXPECT_EQ(wal::encode_facts(a), wal::encode_facts(b));
}

TEST(FactsCodec, GivesBackWhatWasEncoded) {
  auto facts = full_facts();
  EXPECT_TRUE(facts.has_xacts());
  EXPECT_FALSE(facts.partial_record.is_none());
  expect_equal(must(wal::decode_facts(wal::encode_facts(facts))), facts);
  facts.has_switch = facts.has_overwrite_contrecord = facts.has_end_of_recovery = true;
  facts.wal_level_minimal = true;
  facts.linked = !facts.linked;
  facts.head = Head::kUnresolved;
  facts.xids.add_unknown();
  expect_equal(must(wal::decode_facts(wal::encode_facts(facts))), facts);
  const SegmentFacts nothing;
  expect_equal(must(wal::decode_facts(wal::encode_facts(nothing))), nothing);
}

TEST(FactsCodec, ChangesAreKeptAndLeftOutWhereNobodyAsks) {
  const auto facts = full_facts();
  ASSERT_TRUE(facts.changes);
  EXPECT_TRUE(facts.changes->contains({1663, 5, 16384}, 77));
  EXPECT_EQ(facts.parameter_changes.size(), 2u);
  const auto bytes = wal::encode_facts(facts);
  EXPECT_TRUE(must(wal::decode_facts(bytes)).changes->contains({1663, 5, 16384}, 77));
  EXPECT_FALSE(must(wal::decode_facts(bytes, wal::WithChanges::kNo)).changes);

  auto of_an_older_version = facts;
  of_an_older_version.changes.reset();
  EXPECT_FALSE(must(wal::decode_facts(wal::encode_facts(of_an_older_version))).changes);
}

TEST(FactsCodec, EveryTruncationIsRefusedExceptBetweenSections) {
  const auto bytes = wal::encode_facts(full_facts());
  std::size_t accepted = 0;
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    if (wal::decode_facts(ByteView(bytes).first(size))) ++accepted;
  }
  EXPECT_EQ(accepted, 6u);  // seven sections
}

TEST(FactsCodec, SectionsOfNewerVersionsAreSkippedAndOtherVersionsRefused) {
  const auto facts = full_facts();
  auto bytes = wal::encode_facts(facts);
  bytes.insert(bytes.end(), {77, 3, 1, 2, 3});
  expect_equal(must(wal::decode_facts(bytes)), facts);
  bytes[0] = 2;
  EXPECT_EQ(wal::decode_facts(bytes).error().kind(), ErrorKind::kInvalid);
}

TEST(FactsCodec, ASectionThatStandsThereTwiceIsRefused) {
  auto bytes = wal::encode_facts(full_facts());
  bytes.insert(bytes.end(), {77, 0, 77, 0});
  EXPECT_EQ(wal::decode_facts(bytes).error().kind(), ErrorKind::kCorrupt);
}

// ---- Sets of transaction ids

TEST(XidRanges, NeverMissOneAndStayFew) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  for (int round = 0; round < 20; ++round) {
    wal::XidRanges ranges;
    std::set<std::uint32_t> added;
    auto base = static_cast<std::uint32_t>(random());
    for (int i = 0; i < 500; ++i) {
      const auto xid = random() % 10 == 0 ? static_cast<std::uint32_t>(random())
                                          : static_cast<std::uint32_t>(base++ + random() % 4);
      ranges.add(xid);
      added.insert(xid);
    }
    for (const auto xid : added) ASSERT_TRUE(ranges.may_hold(xid)) << xid;
    ASSERT_LE(ranges.ranges().size(), wal::XidRanges::kMaxRanges);
    for (std::size_t i = 1; i < ranges.ranges().size(); ++i) {
      ASSERT_GT(ranges.ranges()[i].min, ranges.ranges()[i - 1].max);
    }
  }
}

TEST(XidRanges, AreExactWhereIdsAreNearlyConsecutiveEvenAcrossAWraparound) {
  wal::XidRanges ranges;
  for (const std::uint32_t xid : {0xFFFFFFFEu, 0xFFFFFFFFu, 3u, 5u, 4u, 0xFFFFFFFDu}) {
    ranges.add(xid);
  }
  EXPECT_EQ(ranges.ranges(), (std::vector<wal::XidRange>{{3, 5}, {0xFFFFFFFD, 0xFFFFFFFF}}));
  EXPECT_FALSE(ranges.may_hold(2));
  EXPECT_FALSE(ranges.may_hold(1'000'000));
}

TEST(XidRanges, JoinTheClosestWhenThereWouldBeTooMany) {
  wal::XidRanges ranges;
  for (std::uint32_t i = 0; i <= wal::XidRanges::kMaxRanges; ++i) {
    ranges.add(1000 * i + (i == 7 ? 900 : 0));
  }
  EXPECT_TRUE(ranges.may_hold(7950));  // between 7900 and 8000
  EXPECT_FALSE(ranges.may_hold(6950));
  EXPECT_EQ(ranges.ranges().size(), wal::XidRanges::kMaxRanges);
}

}  // namespace
}  // namespace pitr::test
