#include "repository/wal/changes_between.h"

#include "postgres/wal/wal_builder.h"
#include "storage/memory/memory_storage.h"
#include "support/must.h"

namespace pitr::test {
namespace {

using ::testing::HasSubstr;

const TimelineId kOne(1);
const TimelineId kTwo(2);

// Some segments; in each, one record changes one block that tells the record's number.
class ChangesBetweenTest : public testing::Test {
 protected:
  static constexpr std::uint32_t kRelation = 16384;

  ChangesBetweenTest()
      : repository_(must(Repository::init(storage_, must(KeyEncryptionKey::generate())))),
        store_(*repository_, {"main", wal_.options().system_identifier, 15},
               wal_.options().segment_size),
        archive_(store_),
        facts_(store_) {}

  void fill(std::uint64_t segments) {
    while (wal_.last_segment() < wal_.first_segment() + segments) {
      marks_.push_back(
          wal_.heap_insert(7, kRelation, static_cast<std::uint32_t>(marks_.size()), 40).start);
      wal_.filler(70'000);
    }
  }
  SegmentId segment(std::uint64_t index) const { return {kOne, wal_.first_segment() + index}; }

  // Facts of the first segments; with_carry: each from what the one before left.
  void store_segment(std::uint64_t index, bool with_facts = true, bool with_carry = true) {
    must(archive_.put_segment(segment(index), wal_.segment(segment(index).number)));
    if (!with_facts) return;
    wal::DecoderOptions options;
    options.segment_size = wal_.options().segment_size;
    options.timeline = kOne;
    std::optional<wal::Carry> carry;
    for (std::uint64_t i = with_carry ? 0 : index; i <= index; ++i) {
      wal::Carry out;
      auto facts = must(wal::build_segment_facts(segment(i), options, std::move(carry),
                                                 wal_.segment(segment(i).number), &out));
      carry = std::move(out);
      if (i == index) must(facts_.put(facts));
    }
  }
  void store_tail(std::uint64_t index, Lsn end) {
    auto tail = must(archive_.start_tail(segment(index), 0));
    const auto bytes = wal_.segment(segment(index).number);
    must(tail->append(
        ByteView(bytes).first(end - wal_.options().segment_size.start_of(segment(index).number))));
  }
  ChangesInRange changes(Lsn from, Lsn to) {
    return must(changes_between(archive_, facts_, history_, from, to));
  }
  // Covered, with every marked block of the range, and none of segments outside of it.
  void expect_covered(Lsn from, Lsn to) {
    const auto found = changes(from, to);
    ASSERT_EQ(found.not_covered, "");
    const auto& size = wal_.options().segment_size;
    for (std::size_t i = 0; i < marks_.size(); ++i) {
      const bool has = found.blocks.contains({1663, 5, kRelation}, static_cast<std::uint32_t>(i));
      if (marks_[i] >= from && marks_[i] < to) EXPECT_TRUE(has) << i;
      const bool is_near = size.number_of(marks_[i]) + 1 >= size.number_of(from) &&
                           size.number_of(marks_[i]) <= size.number_of(to - 1);
      if (!is_near) EXPECT_FALSE(has) << i;
    }
  }

  SystemClock clock_;
  WalBuilder wal_;
  MemoryStorage storage_{clock_};
  std::unique_ptr<Repository> repository_;
  IncarnationStore store_;
  WalArchive archive_;
  FactsStore facts_;
  TimelineHistory history_ = TimelineHistory::without_ancestors(kOne);
  std::vector<Lsn> marks_;
};

TEST_F(ChangesBetweenTest, FactsOfAllSegmentsInBetweenAreMerged) {
  fill(5);
  for (std::uint64_t i = 0; i < 5; ++i) store_segment(i);
  for (const std::size_t first : {0u, 3u, 20u}) {
    for (const std::size_t last : {21u, 40u, 60u}) expect_covered(marks_[first], marks_[last]);
  }
  EXPECT_TRUE(changes(marks_[3], marks_[3]).is_covered());
  EXPECT_FALSE(changes_between(archive_, facts_, history_, marks_[4], marks_[3]));
}

TEST_F(ChangesBetweenTest, WhatIsStreamedAndNotSealedYetIsDecoded) {
  fill(4);
  store_segment(0);
  store_segment(1, false);
  store_segment(2, false);
  const auto end = marks_.back();
  ASSERT_EQ(wal_.options().segment_size.number_of(end), segment(3).number);
  store_tail(3, end);
  expect_covered(marks_[2], end);
  expect_covered(marks_[30], end);
  expect_covered(marks_[marks_.size() - 2], end);

  const auto too_far = changes(marks_[2], end + 100);
  EXPECT_THAT(too_far.not_covered, HasSubstr(to_string(end)));
  EXPECT_TRUE(too_far.may_come);
  const auto inside = changes(marks_[2], end - 24);
  EXPECT_THAT(inside.not_covered, HasSubstr("not where a record ends"));
}

TEST_F(ChangesBetweenTest, AMissingSegmentIsToldAndWillNotCome) {
  fill(4);
  store_segment(0);
  store_segment(1);
  store_segment(3);
  const auto found = changes(marks_[0], marks_[50]);
  EXPECT_THAT(found.not_covered,
              HasSubstr(segment_file_name(segment(2), wal_.options().segment_size)));
  EXPECT_FALSE(found.may_come);
  EXPECT_TRUE(found.blocks.empty());
}

TEST_F(ChangesBetweenTest, FactsOfAnOlderVersionDoNotCover) {
  fill(3);
  for (std::uint64_t i = 0; i < 3; ++i) store_segment(i);
  auto old = *must(facts_.get(segment(1)));
  old.changes.reset();
  must(facts_.replace(old));
  EXPECT_THAT(changes(marks_[0], marks_[40]).not_covered, HasSubstr("pitr facts rebuild"));
  // Better ones take their place.
  store_segment(1);
  expect_covered(marks_[0], marks_[40]);
}

TEST_F(ChangesBetweenTest, AnUnresolvedEdgeIsDecodedAndNeverSkipped) {
  fill(3);
  store_segment(0);
  store_segment(1, true, false);
  ASSERT_EQ(must(facts_.get(segment(1)))->head, wal::Head::kUnresolved);
  expect_covered(marks_[0], marks_[25]);
  // Where the segment before isn't there, its record's blocks can't be known.
  must(storage_.remove(store_.names().segment(segment(0))));
  EXPECT_FALSE(changes(marks_[0], marks_[25]).is_covered());
  // A range that begins in the segment doesn't need them.
  expect_covered(marks_[20], marks_[25]);
}

TEST_F(ChangesBetweenTest, DistrustCountsWithinTheRangeOnly) {
  fill(1);
  const auto minimal = wal_.parameter_change(0).start;
  const auto replica = wal_.parameter_change(1).start;
  fill(3);
  for (std::uint64_t i = 0; i < 3; ++i) store_segment(i);
  EXPECT_THAT(changes(marks_[0], marks_[30]).not_covered, HasSubstr("wal_level"));
  EXPECT_THAT(changes(minimal, marks_[30]).not_covered, HasSubstr("wal_level"));
  expect_covered(replica, marks_[40]);
  expect_covered(marks_[0], minimal);
}

TEST_F(ChangesBetweenTest, TellsWhereHintBitsWereNoLongerLogged) {
  fill(1);
  const auto on = wal_.parameter_change(1, true).start;
  fill(2);
  const auto off = wal_.parameter_change(1, false).start;
  fill(4);
  for (std::uint64_t i = 0; i < 3; ++i) store_segment(i);
  store_tail(3, marks_.back());
  EXPECT_EQ(changes(marks_[0], marks_.back()).wal_log_hints_off, off);
  EXPECT_EQ(changes(on, off).wal_log_hints_off, std::nullopt);
  EXPECT_EQ(changes(off, marks_.back()).wal_log_hints_off, off);
}

// Timeline 2 left timeline 1 inside its third segment, and has that segment's beginning itself.
TEST_F(ChangesBetweenTest, FollowsTheClustersOwnHistory) {
  fill(2);
  const auto switch_point = wal_.position();
  WalBuilder child = wal_;
  auto abandoned = child;  // what timeline 1 went on with
  child.switch_timeline(kTwo, Timestamp::from_unix_us(0));
  const auto block_of_two = child.heap_insert(9, 99'999, 5, 40);
  child.switch_segment();
  abandoned.heap_insert(9, 88'888, 5, 40);
  abandoned.switch_segment();
  history_ = must(TimelineHistory::parse(kTwo, "1\t" + to_string(switch_point) + "\tno reason\n"));

  store_segment(0);
  store_segment(1);
  must(archive_.put_segment(segment(2), abandoned.segment(segment(2).number)));
  auto options = wal::DecoderOptions();
  options.segment_size = wal_.options().segment_size;
  options.timeline = kOne;
  wal::Carry carry;
  (void)must(
      wal::build_segment_facts(segment(0), options, {}, wal_.segment(segment(0).number), &carry));
  (void)must(wal::build_segment_facts(segment(1), options, carry, wal_.segment(segment(1).number),
                                      &carry));
  must(facts_.put(must(
      wal::build_segment_facts(segment(2), options, carry, abandoned.segment(segment(2).number)))));
  const SegmentId of_two{kTwo, segment(2).number};
  for (const bool with_facts : {false, true}) {
    if (with_facts) {
      options.timeline = kTwo;
      must(facts_.put(
          must(wal::build_segment_facts(of_two, options, carry, child.segment(of_two.number)))));
    } else {
      must(archive_.put_segment(of_two, child.segment(of_two.number)));
    }
    const auto found = changes(marks_[0], block_of_two.end);
    ASSERT_EQ(found.not_covered, "");
    EXPECT_TRUE(found.blocks.contains({1663, 5, 99'999}, 5));
    EXPECT_FALSE(found.blocks.contains({1663, 5, 88'888}, 5));
    for (std::uint32_t i = 0; i < marks_.size(); ++i) {
      EXPECT_TRUE(found.blocks.contains({1663, 5, kRelation}, i)) << i;
    }
  }
}

}  // namespace
}  // namespace pitr::test
