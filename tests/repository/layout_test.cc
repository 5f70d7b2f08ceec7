#include "repository/layout.h"

namespace pitr {
namespace {

const IncarnationId kId{"main", 7301234567890123456, 15};

TEST(IncarnationIdTest, TextRoundTrips) {
  EXPECT_EQ(to_string(kId), "main/7301234567890123456-15");
  EXPECT_EQ(parse_incarnation("main/7301234567890123456-15").value(), kId);
  EXPECT_EQ(parse_incarnation("a-b/1-13").value(), (IncarnationId{"a-b", 1, 13}));
  EXPECT_TRUE(parse_incarnation("key/1-13").has_value());
}

TEST(IncarnationIdTest, OtherTextsAreRefused) {
  for (const auto* bad :
       {"", "main", "main/", "main/1", "main/1-", "main/-15", "main/1-12", "main/01-15",
        "main/1-015", "Main/1-15", "-a/1-15", "/1-15", "keyring/1-15", "main/1-15/", "main/+1-15",
        "main/99999999999999999999-15", "a/b/1-15", "main/0-15"}) {
    EXPECT_EQ(parse_incarnation(bad).error().kind(), ErrorKind::kInvalid) << bad;
  }
}

TEST(BackupIdTest, SortsByStartAndRefusesOtherTexts) {
  const auto second = Microseconds(1'000'000);
  const auto start = Timestamp::from_unix_us(1'772'356'500'000'000);
  const auto first = BackupId::make(start, ~0ull);
  EXPECT_EQ(first.text(), "20260301T091500Z-ffffffffffffffff");
  EXPECT_LT(first, BackupId::make(start + second, 0));
  EXPECT_EQ(BackupId::parse(first.text()).value(), first);
  for (const auto* bad :
       {"", "20260301T091500Z", "20260301T091500Z-FFFFFFFFFFFFFFFF",
        "20260301T091500Z-fffffffffffffff/", "20260301T091500z-ffffffffffffffff"}) {
    EXPECT_EQ(BackupId::parse(bad).error().kind(), ErrorKind::kInvalid) << bad;
  }
}

TEST(LayoutTest, NamesAreThoseOfTheFormatDocument) {
  const layout::Incarnation names(kId, SegmentSize());
  const SegmentId segment{TimelineId(0x1A), 0x3FF};
  const std::string base = "main/7301234567890123456-15/";
  EXPECT_EQ(names.segment(segment).text(), base + "wal/0000001A/00000003/0000001A00000003000000FF");
  EXPECT_EQ(names.tail(segment, 8192, 0xAB).text(),
            names.segment(segment).text() + ".tail-00002000-00000000000000ab");
  EXPECT_EQ(names.history(TimelineId(0x1A)).text(), base + "wal/0000001A/0000001A.history");
  EXPECT_EQ(names.facts(segment).text(), base + "facts/0000001A/00000003/0000001A00000003000000FF");
  EXPECT_EQ(names.facts_rollup(TimelineId(1), 3).text(), base + "facts/00000001/00000003/rollup");
  EXPECT_EQ(names.watermark(TimelineId(1), Timestamp::from_unix_us(12), Lsn(0x1F)).text(),
            base + "watermark/00000001/00000000000000000012-000000000000001F");
  EXPECT_EQ(names.timeline_reservation(TimelineId(2)).text(), base + "timeline/00000002");
  EXPECT_EQ(layout::keyring_entry(1, "0123abcd").text(), "keyring/00000001.0123abcd");
}

TEST(LayoutTest, NamesOfTailsAndWatermarksAreParsedBack) {
  const layout::Incarnation names(kId, SegmentSize());
  const SegmentId segment{TimelineId(1), 5};
  EXPECT_EQ(names.parse_tail(segment, names.tail(segment, 0xFFFFFF, ~0ull)).value(), 0xFFFFFFu);
  EXPECT_FALSE(names.parse_tail({TimelineId(1), 6}, names.tail(segment, 0, 0)).has_value());
  EXPECT_FALSE(names.parse_tail(segment, names.segment(segment)).has_value());
  const auto time = Timestamp::from_unix_us(1'772'356'500'000'000);
  const auto watermark = names.watermark(TimelineId(1), time, Lsn(0x12345678ABCDull));
  EXPECT_EQ(names.parse_watermark(TimelineId(1), watermark).value(), Lsn(0x12345678ABCDull));
  EXPECT_FALSE(names.parse_watermark(TimelineId(2), watermark).has_value());
  EXPECT_EQ(layout::parse_timeline("0000000A").value(), TimelineId(10));
  for (const auto* bad : {"", "00000000", "0000000a", "A", "0000000AA"}) {
    EXPECT_FALSE(layout::parse_timeline(bad).has_value()) << bad;
  }
}

TEST(LayoutTest, SegmentNamesFollowTheSegmentSize) {
  const auto size = SegmentSize::from_bytes(64ull << 20).value();
  const layout::Incarnation names(kId, size);
  const SegmentId last_of_log{TimelineId(1), 63};
  EXPECT_TRUE(names.segment(last_of_log).text().ends_with("00000000/00000001000000000000003F"));
  const SegmentId first_of_next{TimelineId(1), 64};
  EXPECT_TRUE(names.segment(first_of_next).text().ends_with("00000001/000000010000000100000000"));
}

TEST(LayoutTest, WalFilesAreNamedByPostgresAndNothingElseIs) {
  const layout::Incarnation names(kId, SegmentSize());
  EXPECT_EQ(names.wal_file("0000000A.history").value(), names.history(TimelineId(10)));
  const auto directory = names.wal_log_prefix(TimelineId(1), 2);
  for (const std::string name :
       {"000000010000000200000003.partial", "000000010000000200000003.00000028.backup"}) {
    EXPECT_EQ(names.wal_file(name).value().text(), directory + name);
  }
  for (const auto* bad :
       {"000000010000000200000003", "00000000.history", "RECOVERYXLOG", "../../etc/passwd",
        "000000010000000200000100.partial", "000000010000000200000003.conflict-00"}) {
    EXPECT_EQ(names.wal_file(bad).error().kind(), ErrorKind::kInvalid) << bad;
  }
}

}  // namespace
}  // namespace pitr
