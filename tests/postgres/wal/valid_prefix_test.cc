// Where valid WAL ends.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "postgres/wal/decoded.h"
#include "postgres/wal/decoder.h"

namespace pitr::test {
namespace {

TEST(DecodeValidPrefix, StopsBehindTheLastRecordOfAZeroTail) {
  WalBuilder cut;
  cut.filler(20'000);
  const auto last = cut.filler(100);
  const auto end =
      wal::decode_valid_prefix(decoder_options(cut), cut.start(), {}, cut.segment(1), nullptr);
  ASSERT_TRUE(end);
  EXPECT_EQ(end->last_record, last.start);
  EXPECT_EQ(end->last_record_end, last.end);
  EXPECT_FALSE(end->reached_end);
  EXPECT_EQ(end->stopped_at, last.end);
  EXPECT_THAT(end->stopped_by, ::testing::HasSubstr("length is zero"));
}

TEST(DecodeValidPrefix, StopsAtPagesLeftOverFromRecycling) {
  WalBuilder old;
  while (old.position() < old.start() + (1 << 20)) old.filler(1000);
  WalBuilder wal({.first_segment = 7, .previous = old.records().back().start});
  wal.fill_to(wal.start() + kPage - 64);
  const auto last = wal.filler(64);
  Bytes segment = old.segment(1);
  std::copy(wal.bytes().begin(), wal.bytes().end(), segment.begin());
  const auto end =
      wal::decode_valid_prefix(decoder_options(wal), wal.start(), {}, segment, nullptr);
  ASSERT_TRUE(end);
  EXPECT_EQ(end->last_record, last.start);
  EXPECT_EQ(end->stopped_at, wal.start() + kPage);
  EXPECT_THAT(end->stopped_by, ::testing::HasSubstr("page address is 0/102000"));
}

struct BadEnd {
  std::string name;
  std::string check;
  void (*damage)(Bytes& record);
};
class EndOfWal : public ::testing::TestWithParam<BadEnd> {};
INSTANTIATE_TEST_SUITE_P(
    , EndOfWal,
    ::testing::Values(BadEnd{"ZeroLength", "length is zero",
                             [](Bytes& r) { store<std::uint32_t>(r.data(), 0); }},
                      BadEnd{"ShortLength", "length 23 is impossible",
                             [](Bytes& r) { store<std::uint32_t>(r.data(), 23); }},
                      BadEnd{"GarbageLength", "is impossible",
                             [](Bytes& r) { store<std::uint32_t>(r.data(), 0xDEADBEEF); }},
                      BadEnd{"BadPrev", "prev-link", [](Bytes& r) { r[8] ^= 8; }},
                      BadEnd{"BadRmgr", "resource manager id 99", [](Bytes& r) { r[17] = 99; }},
                      BadEnd{"BadCrc", "CRC", [](Bytes& r) { r[20] ^= 1; }},
                      BadEnd{"BadBody", "CRC", [](Bytes& r) { r[60] ^= 1; }}),
    [](const auto& instance) { return instance.param.name; });

// Inside a page, with the record's header across a page border, and with its body across one.
TEST_P(EndOfWal, IsWhereTheFirstBadRecordBegins) {
  for (const std::size_t before_page_end :
       {std::size_t{4000}, std::size_t{8}, std::size_t{16}, std::size_t{24}, std::size_t{48}}) {
    WalBuilder wal;
    const Lsn bad_start = wal.start() + 2 * kPage - before_page_end;
    wal.fill_to(bad_start);
    const Lsn last = wal.records().back().start;
    Bytes record = wal.filler(200).bytes;
    wal.filler(100);
    GetParam().damage(record);
    Bytes segment = wal.segment(1);
    // Writes it where it was, around the page header.
    const std::size_t at = bad_start - wal.start();
    const std::size_t first_part = std::min(record.size(), before_page_end);
    std::copy_n(record.begin(), first_part, segment.begin() + static_cast<std::ptrdiff_t>(at));
    std::copy(record.begin() + static_cast<std::ptrdiff_t>(first_part), record.end(),
              segment.begin() + static_cast<std::ptrdiff_t>(at + first_part + 24));
    const auto end =
        wal::decode_valid_prefix(decoder_options(wal), wal.start(), {}, segment, nullptr);
    ASSERT_TRUE(end) << end.error().message();
    EXPECT_EQ(end->last_record, last) << before_page_end;
    EXPECT_EQ(end->last_record_end, bad_start);
    EXPECT_EQ(end->stopped_at, bad_start);
    EXPECT_THAT(end->stopped_by, ::testing::HasSubstr(GetParam().check));
  }
}

TEST(DecodeValidPrefix, ErrorsOfTheSinkArePassedOn) {
  WalBuilder wal;
  wal.filler(100);
  const auto end = wal::decode_valid_prefix(
      decoder_options(wal), wal.start(), {}, wal.bytes(),
      [](const wal::Record&) -> Result<void> { return Error::corrupt("not mine"); });
  ASSERT_FALSE(end);
  EXPECT_EQ(end.error().message(), "not mine");
}

}  // namespace
}  // namespace pitr::test
