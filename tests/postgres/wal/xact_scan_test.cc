#include "postgres/wal/xact_scan.h"

#include <gtest/gtest.h>

#include "postgres/wal/decoded.h"
#include "support/must.h"

namespace pitr::test {
namespace {

// Segments of a builder; those before `oldest` are gone.
wal::SegmentReader reader_of(const WalBuilder& wal, std::uint64_t oldest = 1) {
  return [&wal, oldest](std::uint64_t number) -> Result<Bytes> {
    if (number < oldest || number > wal.last_segment()) return Error::not_found("no such segment");
    return wal.segment(number);
  };
}

// Commits around records that cross borders, one of them longer than two segments.
struct ScannedWal {
  WalBuilder wal;
  Lsn long_record;
  Lsn crossing_commit;

  ScannedWal() {
    wal.commit(700, kSomeTime);
    long_record = wal.filler(2'500'000).start;
    wal.restore_point("here", kSomeTime);
    wal.fill_to(Lsn(((wal.position().value() >> 20) + 1) << 20) - 16);
    crossing_commit = wal.commit(701, kSomeTime).start;
    wal.abort(702, kSomeTime);
  }
};

TEST(ScanSegments, DeliversWhatEndsInTheRangeAndNothingElse) {
  ScannedWal scanned;
  const auto& wal = scanned.wal;
  for (std::uint64_t first = 1; first <= wal.last_segment(); ++first) {
    for (std::uint64_t last = first; last <= wal.last_segment(); ++last) {
      SCOPED_TRACE(std::to_string(first) + " to " + std::to_string(last));
      std::vector<DecodedRecord> records;
      const auto result = must(wal::scan_segments(
          decoder_options(wal), first, last, reader_of(wal),
          {.xact_end = {}, .restore_point = {}, .record = collect_into(records)}));
      EXPECT_FALSE(result.head_unresolved);
      EXPECT_EQ(result.end.reached_end, last < wal.last_segment());
      std::vector<BuiltRecord> expected;
      for (const auto& record : wal.records()) {
        const auto number = wal.options().segment_size.number_of(record.end - 1);
        if (number >= first && number <= last) expected.push_back(record);
      }
      expect_same(records, expected);
    }
  }
}

TEST(ScanSegments, TellsTransactionsAndRestorePoints) {
  ScannedWal scanned;
  std::vector<wal::XactEnd> xacts;
  std::vector<wal::RestorePoint> points;
  wal::ScanSink sink;
  sink.xact_end = [&](const wal::XactEnd& xact) -> Result<void> {
    xacts.push_back(xact);
    return {};
  };
  sink.restore_point = [&](const wal::RestorePoint& point) -> Result<void> {
    points.push_back(point);
    return {};
  };
  const auto last = scanned.wal.last_segment();
  const auto result = must(
      wal::scan_segments(decoder_options(scanned.wal), last, last, reader_of(scanned.wal), sink));
  ASSERT_EQ(xacts.size(), 2u);
  EXPECT_EQ(xacts[0].start, scanned.crossing_commit);
  EXPECT_EQ(xacts[0].xid, 701u);
  EXPECT_EQ(xacts[1].kind, wal::XactKind::kAbort);
  EXPECT_TRUE(points.empty());
  EXPECT_EQ(result.end.last_record, scanned.wal.records().back().start);
  EXPECT_THAT(result.end.stopped_by, ::testing::HasSubstr("zero"));

  must(wal::scan_segments(decoder_options(scanned.wal), 1, last, reader_of(scanned.wal), sink));
  EXPECT_EQ(xacts.size(), 5u);
  ASSERT_EQ(points.size(), 1u);
  EXPECT_EQ(points[0].name, "here");
}

TEST(ScanSegments, WithoutTheSegmentBeforeTheHeadIsUnresolved) {
  ScannedWal scanned;
  const auto last = scanned.wal.last_segment();
  const auto result = must(wal::scan_segments(decoder_options(scanned.wal), last, last,
                                              reader_of(scanned.wal, last), {}));
  EXPECT_TRUE(result.head_unresolved);
}

TEST(ScanSegments, DamageIsAnErrorInTheMiddleAndAnEndInTheLastSegment) {
  ScannedWal scanned;
  const auto damaged = [&](std::uint64_t where) -> wal::SegmentReader {
    return [&scanned, where](std::uint64_t number) -> Result<Bytes> {
      auto bytes = TRY(reader_of(scanned.wal)(number));
      if (number == where) bytes[8192 + 100] ^= 1;
      return bytes;
    };
  };
  // The long record's CRC tells of it in the third segment.
  const auto last = scanned.wal.last_segment();
  EXPECT_EQ(
      wal::scan_segments(decoder_options(scanned.wal), 1, last, damaged(2), {}).error().kind(),
      ErrorKind::kCorrupt);
  const auto result = must(wal::scan_segments(decoder_options(scanned.wal), 1, 3, damaged(2), {}));
  EXPECT_EQ(result.end.stopped_at, scanned.long_record);
  EXPECT_EQ(
      wal::scan_segments(decoder_options(scanned.wal), 1, last + 1, reader_of(scanned.wal), {})
          .error()
          .kind(),
      ErrorKind::kCorrupt);
}

TEST(CarryInto, GoesBackAsFarAsItMust) {
  ScannedWal scanned;
  const auto options = decoder_options(scanned.wal);
  const auto carry = must(wal::carry_into(options, 3, reader_of(scanned.wal)));
  ASSERT_TRUE(carry);
  EXPECT_EQ(carry->partial_start, scanned.long_record);
  EXPECT_EQ(carry->last_record, scanned.wal.records()[0].start);
  EXPECT_FALSE(must(wal::carry_into(options, 3, reader_of(scanned.wal, 2))));
  EXPECT_FALSE(must(wal::carry_into(options, 1, reader_of(scanned.wal))));
}

TEST(CarryInto, OtherTroubleThanAbsenceIsAnError) {
  ScannedWal scanned;
  const auto carry = wal::carry_into(
      decoder_options(scanned.wal), 3,
      [](std::uint64_t) -> Result<Bytes> { return Error::transient("storage is away"); });
  ASSERT_FALSE(carry);
  EXPECT_EQ(carry.error().kind(), ErrorKind::kTransient);
}

}  // namespace
}  // namespace pitr::test
