#include "repository/wal/wal_coverage.h"

#include "postgres/wal/wal_builder.h"
#include "storage/memory/memory_storage.h"
#include "support/must.h"

namespace pitr::test {
namespace {

const TimelineId kOne(1);
const auto kHistory = TimelineHistory::without_ancestors(kOne);

// Four segments of records that cross their borders, and a fifth that has only begun.
class WalCoverageTest : public testing::Test {
 protected:
  WalCoverageTest()
      : storage_(clock_, {}),
        repository_(must(Repository::init(storage_, must(KeyEncryptionKey::generate())))),
        store_(*repository_, {"main", wal_.options().system_identifier, 15},
               wal_.options().segment_size),
        archive_(store_),
        facts_(store_) {
    while (wal_.last_segment() < wal_.first_segment() + 4) wal_.filler(70'000);
  }

  std::uint64_t first() const { return wal_.first_segment(); }
  Lsn last_end() const { return wal_.records().back().end; }

  void store_segment(std::uint64_t number, bool with_facts) {
    const SegmentId segment{kOne, number};
    must(archive_.put_segment(segment, wal_.segment(number)));
    if (!with_facts) return;
    wal::DecoderOptions options;
    options.segment_size = wal_.options().segment_size;
    options.timeline = kOne;
    std::optional<wal::Carry> carry;
    for (auto n = first(); n <= number; ++n) {
      wal::Carry out;
      auto facts = must(
          wal::build_segment_facts({kOne, n}, options, std::move(carry), wal_.segment(n), &out));
      carry = std::move(out);
      if (n == number) must(facts_.put(facts));
    }
  }
  void store_tail(std::uint64_t number, std::size_t size) {
    auto tail = must(archive_.start_tail({kOne, number}, 0));
    const auto bytes = wal_.segment(number);
    must(tail->append(ByteView(bytes).first(size)));
  }
  WalCoverage coverage(std::optional<Lsn> until = std::nullopt) {
    return must(wal_coverage(archive_, facts_, kHistory, wal_.records().front().start, until));
  }

  SystemClock clock_;
  WalBuilder wal_;
  MemoryStorage storage_;
  std::unique_ptr<Repository> repository_;
  IncarnationStore store_;
  WalArchive archive_;
  FactsStore facts_;
};

TEST_F(WalCoverageTest, CompleteSegmentsAndTheTailBehindThemCount) {
  for (std::uint64_t i = 0; i < 4; ++i) store_segment(first() + i, true);
  store_tail(first() + 4, last_end() - wal_.options().segment_size.start_of(first() + 4));
  const auto found = coverage();
  EXPECT_EQ(found.end, last_end());
  EXPECT_EQ(found.last_record, wal_.records().back().start);
  EXPECT_EQ(found.segments.size(), 5u);
  EXPECT_FALSE(found.has_gap);
}

TEST_F(WalCoverageTest, FactsAndDecodingGiveTheSameAnswer) {
  for (std::uint64_t i = 0; i < 4; ++i) store_segment(first() + i, false);
  const auto decoded = coverage();
  for (std::uint64_t i = 0; i < 4; ++i) store_segment(first() + i, true);
  const auto by_facts = coverage();
  EXPECT_EQ(decoded.end, by_facts.end);
  EXPECT_EQ(decoded.last_record, by_facts.last_record);
  EXPECT_EQ(decoded.segments.size(), 4u);
}

TEST_F(WalCoverageTest, AMissingSegmentEndsItAndIsAGap) {
  for (std::uint64_t i : {0, 1, 3}) store_segment(first() + i, true);
  const auto found = coverage();
  const SegmentId missing{kOne, first() + 2};
  EXPECT_NE(found.ended_by.find(segment_file_name(missing, wal_.options().segment_size)),
            std::string::npos)
      << found.ended_by;
  EXPECT_LE(found.end, wal_.options().segment_size.start_of(missing.number));
  EXPECT_TRUE(found.has_gap);
}

// The agent streams on while somebody looks.
TEST_F(WalCoverageTest, WhatComesInMeanwhileIsNoGap) {
  while (wal_.last_segment() < first() + 6) wal_.filler(70'000);
  for (std::uint64_t i = 0; i < 4; ++i) store_segment(first() + i, true);
  store_tail(first() + 4, 100'000);
  int looks = 0;
  const auto found = must(wal_coverage(archive_, facts_, kHistory, wal_.records().front().start,
                                       [&](const WalCoverage& coverage) {
                                         ++looks;
                                         if (coverage.segments.size() == 5) {
                                           store_segment(first() + 4, true);
                                           store_tail(first() + 5, 50'000);
                                         }
                                         return false;
                                       }));
  EXPECT_GE(looks, 6);
  EXPECT_EQ(found.segments.size(), 5u);
  EXPECT_FALSE(found.has_gap) << found.ended_by;
  EXPECT_FALSE(coverage().has_gap);
}

TEST_F(WalCoverageTest, ItStopsAsSoonAsTheWantedPositionIsReached) {
  for (std::uint64_t i = 0; i < 2; ++i) store_segment(first() + i, true);
  const auto found = coverage(wal_.records()[3].end);
  EXPECT_TRUE(found.ended_by.empty()) << found.ended_by;
  EXPECT_EQ(found.segments.size(), 1u);
  EXPECT_FALSE(coverage(last_end()).ended_by.empty());
}

TEST_F(WalCoverageTest, BytesOfARecordThatIsNotCompleteYetDoNotCount) {
  store_segment(first(), true);
  const auto& cut = wal_.records().back();
  for (std::uint64_t i = 1; i < 4; ++i) store_segment(first() + i, true);
  const auto begin = wal_.options().segment_size.start_of(first() + 4);
  store_tail(first() + 4, last_end() - begin - 100);
  EXPECT_EQ(coverage().end, cut.start);
}

TEST_F(WalCoverageTest, WalOfAnotherOriginDoesNotContinueTheOneBefore) {
  store_segment(first(), true);
  WalBuilder other;
  while (other.last_segment() < first() + 2) other.filler(50'000);
  must(archive_.put_segment({kOne, first() + 1}, other.segment(first() + 1)));
  const auto found = coverage();
  EXPECT_LE(found.end, wal_.options().segment_size.start_of(first() + 1));
  EXPECT_FALSE(found.ended_by.empty());
}

}  // namespace
}  // namespace pitr::test
