#include "postgres/lsn.h"

namespace pitr {
namespace {

TEST(LsnTest, TextRoundTripsAndPaddingIsAccepted) {
  EXPECT_EQ(to_string(Lsn::parse("16/B374D848").value()), "16/B374D848");
  EXPECT_EQ(Lsn::parse("0/0001FFFF").value(), Lsn(0x1FFFF));
  for (const auto* bad : {"", "/", "1/", "/1", "1/2/3", "123456789/0", "0/G", "-1/0", " 0/1"}) {
    EXPECT_EQ(Lsn::parse(bad).error().kind(), ErrorKind::kInvalid) << bad;
  }
}

TEST(SegmentNameTest, NumbersCrossTheLogBoundaryAtEverySize) {
  for (const std::uint64_t megabytes : {1, 16, 64, 1024}) {
    const auto size = SegmentSize::from_bytes(megabytes << 20).value();
    const SegmentId last{TimelineId(1), size.segments_per_log() - 1};
    const SegmentId next{TimelineId(1), size.segments_per_log()};
    EXPECT_EQ(segment_file_name(next, size), "000000010000000100000000");
    for (const auto& segment : {last, next}) {
      EXPECT_EQ(parse_segment_file_name(segment_file_name(segment, size), size).value(), segment);
    }
  }
  EXPECT_EQ(segment_file_name({TimelineId(0x1A), 0xFF}, SegmentSize()), "0000001A00000000000000FF");
}

TEST(SegmentNameTest, NamesThatNoServerWritesAreRefused) {
  const SegmentSize size;
  for (const auto* bad : {"000000010000000000000100", "00000000000000000000000A",
                          "0000000100000000000000a1", "00000001000000000000000", ""}) {
    EXPECT_FALSE(parse_segment_file_name(bad, size).has_value()) << bad;
  }
}

TEST(WalFileTest, KindsAreToldByName) {
  const std::string segment = "000000010000000000000001";
  EXPECT_EQ(classify_wal_file(segment).value(), WalFileKind::kSegment);
  EXPECT_EQ(classify_wal_file(segment + ".partial").value(), WalFileKind::kPartialSegment);
  EXPECT_EQ(classify_wal_file(segment + ".00000028.backup").value(), WalFileKind::kBackupHistory);
  EXPECT_EQ(classify_wal_file("00000002.history").value(), WalFileKind::kTimelineHistory);
  for (const auto* bad : {"", ".", "../../etc/passwd", "00000002.history.tmp", "RECOVERYXLOG"}) {
    EXPECT_FALSE(classify_wal_file(bad).has_value()) << bad;
  }
}

}  // namespace
}  // namespace pitr
