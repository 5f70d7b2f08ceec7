#include "walreceiver/segment_ingest.h"

#include <algorithm>
#include <map>
#include <numeric>

#include "walreceiver/ingest_fixture.h"

namespace pitr::test {
namespace {

class SegmentIngestTest : public testing::Test {
 protected:
  Result<PutOutcome> put(std::uint64_t index) {
    return parts.ingest().put(segment_of(wal, index), wal.segment(wal.first_segment() + index));
  }
  Bytes encoded_facts(IngestParts& of, std::uint64_t index) {
    const auto facts = must(of.facts().get(segment_of(wal, index)));
    EXPECT_TRUE(facts.has_value()) << "no facts of segment " << index;
    return facts ? wal::encode_facts(*facts) : Bytes();
  }

  static constexpr std::uint64_t kSegments = 6;
  const WalBuilder wal = random_wal(7, kSegments);
  SystemClock clock;
  MemoryStorage storage{clock};
  const KeyEncryptionKey key = make_repository(storage);
  IngestParts parts{storage, key, wal};
};

TEST_F(SegmentIngestTest, FactsComeOutTheSameInWhateverOrderSegmentsArrive) {
  for (std::uint64_t index = 0; index < kSegments; ++index) must(put(index));

  std::vector<std::uint64_t> order(kSegments);
  std::iota(order.begin(), order.end(), 0);
  for (std::uint64_t seed = 1; seed <= 12; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    MemoryStorage other_storage(clock);
    const auto other_key = make_repository(other_storage);
    IngestParts other(other_storage, other_key, wal);
    std::mt19937_64 random(seed);
    std::ranges::shuffle(order, random);
    for (const auto index : order) {
      must(other.ingest().put(segment_of(wal, index), wal.segment(wal.first_segment() + index)));
      // Another process may get the next one.
      if (random() % 2 == 0)
        must(other.ingest().put(segment_of(wal, index), wal.segment(wal.first_segment() + index)));
    }
    for (std::uint64_t index = 0; index < kSegments; ++index) {
      EXPECT_EQ(encoded_facts(other, index), encoded_facts(parts, index)) << "segment " << index;
    }
  }
}

TEST_F(SegmentIngestTest, ASegmentWhosePredecessorComesLaterIsResolvedThen) {
  must(put(1));
  must(put(2));
  EXPECT_FALSE(must(parts.facts().get(segment_of(wal, 1)))->linked);
  must(put(0));
  EXPECT_TRUE(must(parts.facts().get(segment_of(wal, 1)))->linked);
  EXPECT_NE(must(parts.facts().get(segment_of(wal, 1)))->head, wal::Head::kUnresolved);
  EXPECT_TRUE(must(parts.facts().get(segment_of(wal, 2)))->linked);
}

TEST_F(SegmentIngestTest, TheSameBytesAgainAreSuccessAndOthersAreRefusedAndKept) {
  EXPECT_EQ(must(put(0)), PutOutcome::kStored);
  EXPECT_EQ(must(put(0)), PutOutcome::kAlreadyThere);

  WalBuilder clone({.first_segment = wal.first_segment()});
  clone.filler(100);
  clone.switch_segment();
  const auto refused = parts.ingest().put(segment_of(wal, 0), clone.segment(wal.first_segment()));
  EXPECT_EQ(kind_of(refused), ErrorKind::kConflict);
  EXPECT_EQ(must(parts.archive().read_segment(segment_of(wal, 0))),
            wal.segment(wal.first_segment()));
  const auto kept =
      keys_below(storage, parts.store().names().segment(segment_of(wal, 0)).text() + ".conflict-");
  EXPECT_EQ(kept.size(), 1u);
}

TEST_F(SegmentIngestTest, ASegmentThatIsThereAlreadyIsMadeDurableBeforeThatIsSuccess) {
  Fault unanswered;
  unanswered.calls = {StorageCall::kPutIfAbsent};
  unanswered.moment = Fault::Moment::kInFlight;
  unanswered.error = Error::transient("the connection broke");
  for (std::uint64_t index = 0; index < kSegments; ++index) {
    storage.faults().add(unanswered);
    EXPECT_EQ(kind_of(put(index)), ErrorKind::kTransient);
    EXPECT_EQ(must(put(index)), PutOutcome::kAlreadyThere);
  }
  storage.power_loss();
  for (std::uint64_t index = 0; index < kSegments; ++index) {
    EXPECT_TRUE(must(parts.archive().has_segment(segment_of(wal, index))));
  }
}

TEST_F(SegmentIngestTest, WhatWasStreamedOfASegmentIsComparedWithWhatIsArchived) {
  const auto bytes = wal.segment(wal.first_segment());
  must(
      must(parts.archive().start_tail(segment_of(wal, 0), 0))->append(ByteView(bytes).first(9000)));
  WalBuilder clone({.first_segment = wal.first_segment()});
  clone.filler(100);
  clone.switch_segment();
  const auto refused = parts.ingest().put(segment_of(wal, 0), clone.segment(wal.first_segment()));
  EXPECT_EQ(kind_of(refused), ErrorKind::kConflict);
  EXPECT_FALSE(must(parts.archive().has_segment(segment_of(wal, 0))));
  EXPECT_EQ(must(put(0)), PutOutcome::kStored);
}

TEST_F(SegmentIngestTest, WalOfAnotherClusterSizeOrPlaceIsRefusedAndNotStored) {
  const auto segment = segment_of(wal, 0);
  WalBuilder other({.system_identifier = 42});
  other.switch_segment();
  EXPECT_EQ(kind_of(parts.ingest().put(segment, other.segment(1))), ErrorKind::kInvalid);

  WalBuilder larger({.segment_size = SegmentSize::from_bytes(2 << 20).value()});
  larger.switch_segment();
  EXPECT_EQ(kind_of(parts.ingest().put(segment, larger.segment(1))), ErrorKind::kInvalid);
  const auto half = larger.segment(1);
  EXPECT_EQ(kind_of(parts.ingest().put(segment, ByteView(half).first(1 << 20))),
            ErrorKind::kInvalid);

  EXPECT_EQ(kind_of(parts.ingest().put(segment, wal.segment(2))), ErrorKind::kInvalid);
  EXPECT_EQ(kind_of(parts.ingest().put(segment, ByteView())), ErrorKind::kInvalid);
  EXPECT_EQ(kind_of(parts.ingest().put(segment, Bytes(1 << 20))), ErrorKind::kCorrupt);
  EXPECT_FALSE(must(parts.archive().has_segment(segment)));
}

TEST_F(SegmentIngestTest, DamagedWalIsReportedEveryTime) {
  auto bytes = wal.segment(wal.first_segment());
  bytes[300'000] ^= 0x10;
  EXPECT_EQ(kind_of(parts.ingest().put(segment_of(wal, 0), bytes)), ErrorKind::kCorrupt);
  EXPECT_EQ(kind_of(parts.ingest().put(segment_of(wal, 0), bytes)), ErrorKind::kCorrupt);
  EXPECT_FALSE(must(parts.facts().get(segment_of(wal, 0))).has_value());
}

TEST_F(SegmentIngestTest, TheFirstSegmentOfATimelineContinuesItsAncestors) {
  must(put(0));
  WalBuilder child({.timeline = TimelineId(2), .first_segment = wal.first_segment() + 1});
  const auto history = "1\t" +
                       to_string(wal.options().segment_size.start_of(wal.first_segment() + 1)) +
                       "\tno reason\n";
  must(parts.archive().put_file("00000002.history", as_bytes(history)));
  const auto carry = must(parts.ingest().carry_into({TimelineId(2), wal.first_segment() + 1}));
  ASSERT_TRUE(carry.has_value());
  EXPECT_EQ(carry->position, child.start());
  EXPECT_FALSE(
      must(parts.ingest().carry_into({TimelineId(3), wal.first_segment() + 1})).has_value());
}

// Timeline 2 leaves timeline 1 in the third of its segments.
struct Branch {
  explicit Branch(WalBuilder wal) {
    while (wal.last_segment() < wal.first_segment() + 2) wal.heap_insert(7, 16384, 1, 7000);
    const auto switch_point = wal.position();
    history = "1\t" + to_string(switch_point) + "\tno reason\n";
    two = wal;
    two.switch_timeline(TimelineId(2), Timestamp::from_unix_us(1'800'000'000'000'000));
    while (two.last_segment() < wal.first_segment() + 3) two.heap_insert(7, 16385, 2, 7000);
    two.switch_segment();
    one = std::move(wal);
    one.filler(300'000);
    one.switch_segment();
  }
  WalBuilder one;
  WalBuilder two;
  std::string history;
};

TEST_F(SegmentIngestTest, AChildTimelinesFactsComeOutTheSameInWhateverOrderSegmentsArrive) {
  const Branch branch{WalBuilder()};
  const auto first = branch.one.first_segment();
  std::vector<SegmentId> order;
  for (std::uint64_t i = 0; i < 3; ++i) order.push_back({kTimeline, first + i});
  for (std::uint64_t i = 2; i < 4; ++i) order.push_back({TimelineId(2), first + i});
  std::map<SegmentId, Bytes> expected;
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    MemoryStorage other_storage(clock);
    const auto other_key = make_repository(other_storage);
    IngestParts other(other_storage, other_key, branch.one);
    must(other.archive().put_file("00000002.history", as_bytes(branch.history)));
    std::mt19937_64 random(seed);
    if (seed > 0) std::ranges::shuffle(order, random);
    for (const auto& segment : order) {
      const auto& written = segment.timeline == kTimeline ? branch.one : branch.two;
      must(other.ingest().put(segment, written.segment(segment.number)));
    }
    for (const auto& segment : order) {
      const auto facts = must(other.facts().get(segment));
      ASSERT_TRUE(facts);
      EXPECT_NE(facts->head, wal::Head::kUnresolved);
      EXPECT_EQ(facts->linked, segment.number > first || facts->first_record_previous.is_none());
      const auto [at, is_new] = expected.try_emplace(segment, wal::encode_facts(*facts));
      if (!is_new) EXPECT_EQ(wal::encode_facts(*facts), at->second);
    }
  }
}

TEST_F(SegmentIngestTest, AChildTimelineMustRepeatItsAncestorsBytesUpToTheSwitch) {
  const Branch branch{WalBuilder()};
  WalBuilder other;  // a clone, with other records before the switch
  other.filler(64);
  const Branch stranger{std::move(other)};
  const SegmentId of_one{kTimeline, branch.one.first_segment() + 2};
  const SegmentId of_two{TimelineId(2), of_one.number};
  must(parts.archive().put_file("00000002.history", as_bytes(branch.history)));
  must(parts.ingest().put(of_one, branch.one.segment(of_one.number)));
  const auto refused = parts.ingest().put(of_two, stranger.two.segment(of_one.number));
  ASSERT_FALSE(refused);
  EXPECT_FALSE(must(parts.archive().has_segment(of_two)));
  EXPECT_EQ(must(parts.ingest().put(of_two, branch.two.segment(of_one.number))),
            PutOutcome::kStored);
}

TEST_F(SegmentIngestTest, PagesOfAnotherTimelineThanTheHistorySaysAreRefused) {
  const Branch branch{WalBuilder()};
  const SegmentId of_two{TimelineId(2), branch.one.first_segment() + 2};
  // The switch came a segment later, says this one.
  const auto later = "1\t" + to_string(branch.one.start() + (4 << 20)) + "\tno reason\n";
  must(parts.archive().put_file("00000002.history", as_bytes(later)));
  EXPECT_EQ(kind_of(parts.ingest().put(of_two, branch.two.segment(of_two.number))),
            ErrorKind::kCorrupt);
}

TEST_F(SegmentIngestTest, FactsWithoutChangedBlocksAreMadeAnewWhenTheSegmentComesAgain) {
  must(put(0));
  must(put(1));
  auto old = *must(parts.facts().get(segment_of(wal, 1)));
  const auto whole = wal::encode_facts(old);
  old.changes.reset();
  must(parts.facts().replace(old));
  must(put(1));
  EXPECT_EQ(encoded_facts(parts, 1), whole);
}

TEST_F(SegmentIngestTest, WhatACrashLeftBetweenSegmentAndFactsIsMadeUpFor) {
  const auto first = wal.segment(wal.first_segment());
  must(must(parts.archive().start_tail(segment_of(wal, 0), 0))->append(first));
  must(parts.archive().put_segment(segment_of(wal, 0), first));
  EXPECT_EQ(must(parts.ingest().seal_complete_tails(kTimeline)), 1u);
  EXPECT_TRUE(must(parts.facts().get(segment_of(wal, 0))).has_value());
  EXPECT_TRUE(tails_of(parts, segment_of(wal, 0)).empty());
  EXPECT_EQ(must(parts.ingest().seal_complete_tails(kTimeline)), 0u);
}

}  // namespace
}  // namespace pitr::test
