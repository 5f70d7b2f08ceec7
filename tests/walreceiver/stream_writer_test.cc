#include "walreceiver/stream_writer.h"

#include "walreceiver/ingest_fixture.h"

namespace pitr::test {
namespace {

// On storage that appends, and on storage that doesn't.
class StreamWriterTest : public testing::TestWithParam<bool> {
 protected:
  ByteView stream(std::uint64_t from, std::uint64_t size) const {
    return ByteView(wal.bytes()).subspan(from, size);
  }
  std::unique_ptr<StreamWriter> open(IngestParts& of, SegmentSealer& sealer, Lsn start) {
    return must(StreamWriter::open(of.ingest(), sealer, kTimeline, start));
  }
  Bytes available(std::uint64_t index) {
    return must(parts.archive().read_available(segment_of(wal, index))).bytes;
  }
  static bool is_prefix(ByteView prefix, ByteView bytes) {
    return prefix.size() <= bytes.size() && std::ranges::equal(prefix, bytes.first(prefix.size()));
  }

  const WalBuilder wal = random_wal(11, 4);
  SystemClock clock;
  MemoryStorage storage{clock, {.can_append = GetParam()}};
  const KeyEncryptionKey key = make_repository(storage);
  IngestParts parts{storage, key, wal};
};
INSTANTIATE_TEST_SUITE_P(Append, StreamWriterTest, testing::Bool());

TEST_P(StreamWriterTest, BytesAreDurableAfterMakeDurableAndNotCountedBefore) {
  SegmentSealer sealer(parts.ingest());
  const auto writer = open(parts, sealer, wal.start());
  must(writer->write(stream(0, 70'000)));
  EXPECT_EQ(writer->received(), wal.start() + 70'000);
  EXPECT_EQ(writer->durable(), wal.start());
  must(writer->make_durable());
  EXPECT_EQ(writer->durable(), wal.start() + 70'000);
  storage.power_loss();
  EXPECT_TRUE(is_prefix(stream(0, 70'000), available(0)));
}

TEST_P(StreamWriterTest, ASegmentIsDurableWhenItEndsAndSealedBehind) {
  SegmentSealer sealer(parts.ingest());
  const auto writer = open(parts, sealer, wal.start());
  must(writer->write(wal.bytes()));
  EXPECT_EQ(writer->durable(), wal.position());
  must(sealer.drain());
  EXPECT_EQ(sealer.segments_stored(), 4u);
  for (std::uint64_t index = 0; index < 4; ++index) {
    const auto segment = segment_of(wal, index);
    EXPECT_EQ(must(parts.archive().read_segment(segment)), wal.segment(segment.number));
    EXPECT_TRUE(tails_of(parts, segment).empty());
    EXPECT_TRUE(must(parts.facts().get(segment))->linked || index == 0);
  }
}

TEST_P(StreamWriterTest, ARestartComparesWhatIsStoredAndGoesOnBehindIt) {
  {
    SegmentSealer sealer(parts.ingest());
    const auto writer = open(parts, sealer, wal.start());
    must(writer->write(stream(0, 100'000)));
    must(writer->make_durable());
  }
  const auto tails = tails_of(parts, segment_of(wal, 0));
  IngestParts restarted(storage, key, wal);
  SegmentSealer sealer(restarted.ingest());
  const auto writer = open(restarted, sealer, wal.start());
  EXPECT_EQ(writer->durable(), wal.start()) << "nothing was received on this connection";
  must(writer->write(stream(0, 60'000)));
  must(writer->make_durable());
  EXPECT_EQ(writer->durable(), wal.start() + 60'000);
  EXPECT_EQ(tails_of(parts, segment_of(wal, 0)), tails) << "stored bytes are not stored again";
  must(writer->write(stream(60'000, 90'000)));
  must(writer->make_durable());
  EXPECT_EQ(writer->durable(), wal.start() + 150'000);
  EXPECT_TRUE(is_prefix(stream(0, 150'000), available(0)));
  EXPECT_GT(tails_of(parts, segment_of(wal, 0)).size(), tails.size());
}

TEST_P(StreamWriterTest, WhatAKilledWriterLeftIsMadeDurableBeforeItIsReported) {
  {
    SegmentSealer sealer(parts.ingest());
    const auto writer = open(parts, sealer, wal.start());
    Fault unanswered;
    unanswered.calls = {StorageCall::kAppend, StorageCall::kPut};
    unanswered.key_contains = ".tail-";
    unanswered.moment = Fault::Moment::kInFlight;
    unanswered.error = Error::transient("the machine went away");
    storage.faults().add(unanswered);
    must(writer->write(stream(0, 500'000)));
    EXPECT_EQ(kind_of(writer->make_durable()), ErrorKind::kTransient);
    EXPECT_EQ(writer->durable(), wal.start());
  }
  IngestParts restarted(storage, key, wal);
  SegmentSealer sealer(restarted.ingest());
  const auto writer = open(restarted, sealer, wal.start());
  must(writer->write(stream(0, 500'000)));
  must(writer->make_durable());
  EXPECT_EQ(writer->durable(), wal.start() + 500'000);
  storage.power_loss();
  EXPECT_TRUE(is_prefix(stream(0, 500'000), available(0)));
}

TEST_P(StreamWriterTest, AServerThatSendsOtherBytesThanAreStoredIsRefused) {
  {
    SegmentSealer sealer(parts.ingest());
    const auto writer = open(parts, sealer, wal.start());
    must(writer->write(stream(0, 100'000)));
    must(writer->make_durable());
  }
  const WalBuilder clone = random_wal(12, 1);
  ASSERT_FALSE(std::ranges::equal(stream(0, 8192), ByteView(clone.bytes()).first(8192)));
  SegmentSealer sealer(parts.ingest());
  const auto writer = open(parts, sealer, wal.start());
  const auto refused = writer->write(ByteView(clone.bytes()).first(50'000));
  EXPECT_EQ(kind_of(refused), ErrorKind::kConflict);
  EXPECT_EQ(writer->durable(), wal.start());
  EXPECT_TRUE(available(0).size() == 100'000 && is_prefix(available(0), stream(0, 100'000)));
}

TEST_P(StreamWriterTest, ASingleDifferentByteAtTheEndOfWhatIsStoredIsFound) {
  {
    SegmentSealer sealer(parts.ingest());
    const auto writer = open(parts, sealer, wal.start());
    must(writer->write(stream(0, 100'000)));
    must(writer->make_durable());
  }
  SegmentSealer sealer(parts.ingest());
  const auto writer = open(parts, sealer, wal.start());
  auto different = Bytes(wal.bytes().begin(), wal.bytes().begin() + 120'000);
  different[99'999] ^= 1;
  must(writer->write(ByteView(different).first(50'000)));
  EXPECT_EQ(kind_of(writer->write(ByteView(different).subspan(50'000))), ErrorKind::kConflict);
}

TEST_P(StreamWriterTest, DamagedWalIsNotStored) {
  SegmentSealer sealer(parts.ingest());
  const auto writer = open(parts, sealer, wal.start());
  must(writer->write(stream(0, 50'000)));
  must(writer->make_durable());
  // Behind the first record that begins there, so that its CRC is seen within this call.
  auto damaged = Bytes(wal.bytes().begin() + 50'000, wal.bytes().begin() + 800'000);
  damaged[400'000] ^= 1;
  EXPECT_EQ(kind_of(writer->write(damaged)), ErrorKind::kCorrupt);
  EXPECT_EQ(writer->durable(), wal.start() + 50'000);
  EXPECT_EQ(available(0).size(), 50'000u);
}

TEST_P(StreamWriterTest, ASegmentThatArchivingBroughtIsComparedAndStandsAsItIs) {
  must(parts.ingest().put(segment_of(wal, 0), wal.segment(wal.first_segment())));
  SegmentSealer sealer(parts.ingest());
  const auto writer = open(parts, sealer, wal.start());
  must(writer->write(wal.bytes()));
  must(sealer.drain());
  EXPECT_EQ(must(parts.archive().read_segment(segment_of(wal, 3))),
            wal.segment(wal.first_segment() + 3));
  EXPECT_TRUE(tails_of(parts, segment_of(wal, 0)).empty());
}

TEST_P(StreamWriterTest, StreamingBeginsOnlyAtASegmentsStart) {
  SegmentSealer sealer(parts.ingest());
  const auto writer = StreamWriter::open(parts.ingest(), sealer, kTimeline, wal.start() + 8192);
  EXPECT_EQ(kind_of(writer), ErrorKind::kInternal);
}

}  // namespace
}  // namespace pitr::test
