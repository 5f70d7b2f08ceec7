#include "walreceiver/segment_sealer.h"

#include "walreceiver/ingest_fixture.h"

namespace pitr::test {
namespace {

class SegmentSealerTest : public testing::Test {
 protected:
  // As the writer leaves it: all bytes durable in a tail.
  SealRequest streamed(std::uint64_t index) {
    auto bytes = wal.segment(wal.first_segment() + index);
    const auto segment = segment_of(wal, index);
    must(must(parts.archive().start_tail(segment, 0))->append(bytes));
    return {segment, std::move(bytes), std::nullopt};
  }
  Fault failing_segment_puts() {
    Fault fault;
    fault.calls = {StorageCall::kPutIfAbsent};
    fault.key_contains = "/wal/";
    fault.times = Fault::kEveryTime;
    fault.error = Error::denied("read-only");
    return fault;
  }

  const WalBuilder wal = random_wal(3, 5);
  SystemClock clock;
  MemoryStorage storage{clock};
  const KeyEncryptionKey key = make_repository(storage);
  IngestParts parts{storage, key, wal};
};

TEST_F(SegmentSealerTest, SegmentsAreStoredWithFactsAndTheirTailsGo) {
  SegmentSealer sealer(parts.ingest());
  for (std::uint64_t index = 0; index < 5; ++index) must(sealer.submit(streamed(index)));
  must(sealer.drain());
  EXPECT_EQ(sealer.segments_stored(), 5u);
  for (std::uint64_t index = 0; index < 5; ++index) {
    const auto segment = segment_of(wal, index);
    EXPECT_EQ(must(parts.archive().read_segment(segment)), wal.segment(segment.number));
    EXPECT_TRUE(must(parts.facts().get(segment)).has_value());
    EXPECT_TRUE(tails_of(parts, segment).empty());
  }
}

TEST_F(SegmentSealerTest, AFailureSurfacesAndWhatWasNotStoredIsStoredAfterARestart) {
  {
    SegmentSealer sealer(parts.ingest());
    auto first = streamed(0);
    auto second = streamed(1);
    storage.faults().add(failing_segment_puts());
    must(sealer.submit(std::move(first)));
    EXPECT_EQ(kind_of(sealer.drain()), ErrorKind::kDenied);
    EXPECT_EQ(kind_of(sealer.submit(std::move(second))), ErrorKind::kDenied);
    EXPECT_EQ(kind_of(sealer.drain()), ErrorKind::kDenied);
  }
  EXPECT_FALSE(must(parts.archive().has_segment(segment_of(wal, 0))));
  EXPECT_EQ(must(parts.archive().read_available(segment_of(wal, 0))).bytes,
            wal.segment(wal.first_segment()));

  storage.faults().clear();
  IngestParts restarted(storage, key, wal);
  EXPECT_EQ(must(restarted.ingest().seal_complete_tails(kTimeline)), 2u);
  for (std::uint64_t index = 0; index < 2; ++index) {
    const auto segment = segment_of(wal, index);
    EXPECT_EQ(must(restarted.archive().read_segment(segment)), wal.segment(segment.number));
    EXPECT_TRUE(must(restarted.facts().get(segment)).has_value());
    EXPECT_TRUE(tails_of(restarted, segment).empty());
  }
}

TEST_F(SegmentSealerTest, WhatIsNotSealedYetIsCoveredAndCanBeRestored) {
  must(parts.ingest().put(segment_of(wal, 0), wal.segment(wal.first_segment())));
  for (std::uint64_t index = 1; index < 4; ++index) streamed(index);
  const auto last = wal.segment(wal.first_segment() + 4);
  const auto half = ByteView(last).first(last.size() / 4);
  must(must(parts.archive().start_tail(segment_of(wal, 4), 0))->append(half));
  const auto covered = must(wal_coverage(
      parts.archive(), parts.facts(), TimelineHistory::without_ancestors(kTimeline), wal.start()));
  EXPECT_EQ(covered.segments.size(), 5u) << covered.ended_by;
  EXPECT_FALSE(covered.has_gap);
}

TEST_F(SegmentSealerTest, IncompleteTailsAreLeftAsTheyAre) {
  const auto bytes = wal.segment(wal.first_segment());
  must(
      must(parts.archive().start_tail(segment_of(wal, 0), 0))->append(ByteView(bytes).first(5000)));
  EXPECT_EQ(must(parts.ingest().seal_complete_tails(kTimeline)), 0u);
  EXPECT_EQ(tails_of(parts, segment_of(wal, 0)).size(), 1u);
}

TEST_F(SegmentSealerTest, StorageThatHangsHoldsTheStreamBackAfterAFewSegments) {
  const auto gate = std::make_shared<Gate>();
  auto fault = failing_segment_puts();
  fault.error.reset();
  fault.gate = gate;
  SegmentSealer sealer(parts.ingest());
  std::vector<SealRequest> requests;
  for (std::uint64_t index = 0; index < 5; ++index) requests.push_back(streamed(index));
  storage.faults().add(fault);
  std::atomic<int> submitted = 0;
  std::jthread submitting([&] {
    for (auto& request : requests) {
      if (sealer.submit(std::move(request))) ++submitted;
    }
  });
  gate->wait_until_reached();
  // One is under way and kMaxPending wait.
  EXPECT_LE(submitted.load(), 3);
  gate->open();
  submitting.join();
  must(sealer.drain());
  EXPECT_EQ(sealer.segments_stored(), 5u);
}

}  // namespace
}  // namespace pitr::test
