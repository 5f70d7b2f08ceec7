#include "postgres/wal/decoder.h"

#include <gtest/gtest.h>

#include "postgres/wal/decoded.h"

namespace pitr::test {
namespace {

using wal::Carry;
using wal::WalDecoder;

constexpr std::size_t kPage = 8192;

Result<std::vector<DecodedRecord>> decode(const wal::DecoderOptions& options, Lsn start,
                                          ByteView bytes, std::optional<Carry> carry = {}) {
  std::vector<DecodedRecord> records;
  auto started = WalDecoder::start(options, start, std::move(carry), collect_into(records));
  auto decoder = TRY(std::move(started));
  TRY(decoder.push(bytes));
  return records;
}

std::string check_that_fails(const wal::DecoderOptions& options, Lsn start, ByteView bytes) {
  const auto result = decode(options, start, bytes);
  if (result) return "none";
  EXPECT_EQ(result.error().kind(), ErrorKind::kCorrupt);
  return result.error().message();
}

// Three segments with all that a decoder can meet: small and large records, records across pages
// and segments, headers that straddle pages, a switch.
void write_mixture(WalBuilder& wal, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  const auto size = wal.options().segment_size;
  const auto end = size.start_of(wal.first_segment() + 2) + 100'000;
  while (wal.position() < end) {
    switch (random() % 12) {
      case 0:
        wal.filler(2000 + random() % 20'000);
        break;
      case 1:
        wal.commit(static_cast<std::uint32_t>(700 + random() % 100), kSomeTime);
        break;
      case 2:
        wal.heap_insert(9, 1234, 7, static_cast<std::uint16_t>(1 + random() % 300));
        break;
      default:
        wal.filler(26 + random() % 200);
    }
  }
  wal.switch_segment();
}

class EveryMajor : public ::testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(, EveryMajor, ::testing::Range(13, 19));

TEST_P(EveryMajor, DeliversEveryRecordAsItWasWritten) {
  WalBuilder wal({.major = GetParam()});
  write_mixture(wal, 1);
  const auto records = decode(decoder_options(wal), wal.start(), wal.bytes());
  ASSERT_TRUE(records) << records.error().message();
  expect_same(*records, wal.records());
}

TEST_P(EveryMajor, PagesOfAnotherMajorAreRefusedInTheSameStream) {
  WalBuilder wal({.major = GetParam()});
  wal.filler(10'000);
  WalBuilder other({.major = GetParam() == 13 ? 18 : 13});
  other.filler(10'000);
  Bytes bytes = wal.bytes();
  std::copy_n(other.bytes().begin() + kPage, 2, bytes.begin() + kPage);
  EXPECT_THAT(check_that_fails(decoder_options(wal), wal.start(), bytes),
              ::testing::HasSubstr("page magic"));
}

TEST(WalDecoder, TheSizeOfThePiecesMakesNoDifference) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  WalBuilder wal;
  write_mixture(wal, seed);
  for (int round = 0; round < 5; ++round) {
    std::vector<DecodedRecord> records;
    auto decoder = WalDecoder::start(decoder_options(wal), wal.start(), {}, collect_into(records));
    ASSERT_TRUE(decoder);
    const auto pushed = push_in_pieces(*decoder, wal.bytes(), random);
    ASSERT_TRUE(pushed) << pushed.error().message();
    expect_same(records, wal.records());
  }
}

TEST(WalDecoder, RecordHeadersMayStraddlePages) {
  WalBuilder wal;
  for (std::size_t before = 8; before <= 24; before += 8) {
    const Lsn page_end((wal.position().value() / kPage + 2) * kPage);
    wal.fill_to(page_end - before);
    ASSERT_EQ(wal.filler(100).start, page_end - before);
  }
  const auto records = decode(decoder_options(wal), wal.start(), wal.bytes());
  ASSERT_TRUE(records) << records.error().message();
  expect_same(*records, wal.records());
}

TEST(WalDecoder, ARecordMayEndExactlyWithItsPageOrSegment) {
  WalBuilder wal;
  wal.fill_to(wal.start() + kPage - 64);
  wal.filler(64);
  ASSERT_EQ(wal.position(), wal.start() + kPage);
  wal.fill_to(wal.start() + (1 << 20) - 64);
  wal.filler(61);  // and three bytes of padding
  const Lsn last = wal.records().back().start;
  wal.filler(64);
  std::vector<DecodedRecord> records;
  auto decoder = WalDecoder::start(decoder_options(wal), wal.start(), {}, collect_into(records));
  ASSERT_TRUE(decoder->push(wal.segment(1)));
  EXPECT_EQ(decoder->carry()->last_record, last);
  EXPECT_TRUE(decoder->carry()->partial_start.is_none());
  ASSERT_TRUE(decoder->push(ByteView(wal.bytes()).subspan(1 << 20)));
  expect_same(records, wal.records());
}

TEST(WalDecoder, GoesOnFromACarryAsIfItHadNeverStopped) {
  WalBuilder wal;
  write_mixture(wal, 3);
  std::vector<DecodedRecord> records;
  std::optional<Carry> carry;
  for (std::uint64_t number = 1; number <= wal.last_segment(); ++number) {
    const Lsn start = wal.options().segment_size.start_of(number);
    auto decoder =
        WalDecoder::start(decoder_options(wal), start, std::move(carry), collect_into(records));
    ASSERT_TRUE(decoder);
    const auto pushed = decoder->push(wal.segment(number));
    ASSERT_TRUE(pushed) << pushed.error().message();
    EXPECT_FALSE(decoder->head_unresolved());
    carry = *decoder->carry();
  }
  expect_same(records, wal.records());
}

TEST(WalDecoder, WithoutCarryTheHeadStaysUnresolvedAndTheFirstPrevLinkIsReported) {
  WalBuilder wal;
  const Lsn border = wal.start() + (1 << 20);
  wal.fill_to(border - 1000);
  const Lsn crossing = wal.filler(3000).start;
  const Lsn next = wal.filler(100).start;
  wal.filler(100);
  std::vector<DecodedRecord> records;
  auto decoder = WalDecoder::start(decoder_options(wal), border, {}, collect_into(records));
  ASSERT_TRUE(decoder->push(ByteView(wal.bytes()).subspan(1 << 20)));
  EXPECT_TRUE(decoder->head_unresolved());
  EXPECT_EQ(decoder->head_end(), next);
  EXPECT_EQ(decoder->first_record(), next);
  EXPECT_EQ(decoder->first_record_previous(), crossing);
  EXPECT_FALSE(decoder->first_record_linked());
  expect_same(records, std::span(wal.records()).last(2));
}

TEST(WalDecoder, ARecordMaySpanSeveralSegmentsAndMoreThanMayBeKept) {
  WalBuilder wal;
  wal.filler(5000);
  const auto length = wal.filler(3'500'000).bytes.size();
  wal.commit(700, kSomeTime);
  auto options = decoder_options(wal);
  options.kept_record_bytes = 10'000;
  std::vector<DecodedRecord> records;
  std::optional<Carry> carry;
  for (std::uint64_t number = 1; number <= wal.last_segment(); ++number) {
    const Lsn start = wal.options().segment_size.start_of(number);
    auto decoder = WalDecoder::start(options, start, std::move(carry), collect_into(records));
    const auto from = start - wal.start();
    const auto pushed = decoder->push(
        ByteView(wal.bytes())
            .subspan(from, std::min<std::size_t>(1 << 20, wal.bytes().size() - from)));
    ASSERT_TRUE(pushed) << pushed.error().message();
    if (decoder->position().value() % (1 << 20) != 0) break;
    carry = *decoder->carry();
    EXPECT_LE(carry->partial_bytes.size(), 10'000u);
  }
  ASSERT_EQ(records.size(), 3u);
  EXPECT_EQ(records[1].length, length);
  EXPECT_EQ(records[1].bytes.size(), 10'000u);
  EXPECT_EQ(records[2].start, wal.records()[2].start);

  // Its CRC is checked all the same, in bytes that nobody keeps.
  Bytes damaged = wal.bytes();
  damaged[2'000'000] ^= 1;
  EXPECT_THAT(check_that_fails(options, wal.start(), damaged), ::testing::HasSubstr("CRC"));
}

TEST(WalDecoder, AHeadMayFillWholeSegments) {
  WalBuilder wal;
  wal.filler(3'500'000);
  const auto commit = wal.commit(700, kSomeTime);
  std::vector<DecodedRecord> records;
  const Lsn second = wal.options().segment_size.start_of(2);
  auto decoder = WalDecoder::start(decoder_options(wal), second, {}, collect_into(records));
  ASSERT_TRUE(decoder->push(wal.segment(2)));
  EXPECT_TRUE(decoder->head_unresolved());
  EXPECT_TRUE(decoder->head_end().is_none());
  auto carry = *decoder->carry();
  EXPECT_GT(carry.unresolved_length, 0u);
  auto next = WalDecoder::start(decoder_options(wal), carry.position, carry, collect_into(records));
  ASSERT_TRUE(next->push(ByteView(wal.bytes()).subspan(2 << 20)));
  EXPECT_TRUE(next->head_unresolved());
  ASSERT_EQ(records.size(), 1u);
  EXPECT_EQ(records[0].start, commit.start);
}

TEST(WalDecoder, WhatFollowsASwitchIsNotLookedAt) {
  WalBuilder wal;
  wal.filler(100);
  wal.switch_segment();
  wal.filler(100);
  Bytes bytes = wal.bytes();
  bytes[3 * kPage + 5] = 0xFF;
  const auto records = decode(decoder_options(wal), wal.start(), bytes);
  ASSERT_TRUE(records) << records.error().message();
  expect_same(*records, wal.records());
}

TEST(WalDecoder, ASwitchThatEndsExactlyWithItsSegmentSkipsNothing) {
  WalBuilder wal;
  wal.fill_to(wal.start() + (1 << 20) - 24);
  wal.switch_segment();
  ASSERT_EQ(wal.position(), wal.start() + (1 << 20));
  wal.filler(100);
  const auto records = decode(decoder_options(wal), wal.start(), wal.bytes());
  ASSERT_TRUE(records) << records.error().message();
  expect_same(*records, wal.records());
}

// ---- Records that a crash cut off

TEST(WalDecoder, ARecordThatACrashCutOffIsGivenUpLegally) {
  WalBuilder wal;
  wal.filler(3000);
  const Lsn given_up = wal.crash_inside_record(30'000, 1);
  wal.commit(700, kSomeTime);
  const auto records = decode(decoder_options(wal), wal.start(), wal.bytes());
  ASSERT_TRUE(records) << records.error().message();
  expect_same(*records, wal.records());
  for (const auto& record : *records) EXPECT_NE(record.start, given_up);
}

TEST(WalDecoder, ARecordMayBeGivenUpAtASegmentsStartWithAndWithoutCarry) {
  WalBuilder wal;
  const Lsn border = wal.start() + (1 << 20);
  wal.fill_to(border - 1000);
  const Lsn given_up = wal.crash_inside_record(30'000);
  wal.commit(700, kSomeTime);
  auto first = WalDecoder::start(decoder_options(wal), wal.start(), {}, nullptr);
  ASSERT_TRUE(first->push(wal.segment(1)));
  auto carry = *first->carry();
  EXPECT_EQ(carry.partial_start, given_up);

  const auto rest = ByteView(wal.bytes()).subspan(1 << 20);
  const auto with_carry = decode(decoder_options(wal), border, rest, carry);
  ASSERT_TRUE(with_carry) << with_carry.error().message();
  expect_same(*with_carry, std::span(wal.records()).last(2));
  const auto without = decode(decoder_options(wal), border, rest);
  ASSERT_TRUE(without) << without.error().message();
  expect_same(*without, std::span(wal.records()).last(2));
}

TEST(WalDecoder, GivingUpAnotherRecordThanTheUnfinishedOneIsCorrupt) {
  WalBuilder wal;
  wal.fill_to(wal.start() + (1 << 20) - 1000);
  wal.crash_inside_record(30'000);
  WalDecoder first = std::move(*WalDecoder::start(decoder_options(wal), wal.start(), {}, nullptr));
  ASSERT_TRUE(first.push(wal.segment(1)));
  auto carry = *first.carry();
  carry.partial_start = carry.partial_start - 8;
  const auto result =
      decode(decoder_options(wal), carry.position, ByteView(wal.bytes()).subspan(1 << 20), carry);
  ASSERT_FALSE(result);
  EXPECT_THAT(result.error().message(), ::testing::HasSubstr("was unfinished"));
}

TEST(WalDecoder, ARecordWhoseRestIsMissingIsCorrupt) {
  WalBuilder wal;
  wal.filler(3000);
  const Lsn given_up = wal.crash_inside_record(30'000);
  Bytes bytes = wal.bytes();
  bytes[kPage + 2] &= ~0x08;  // the page no longer says that it gives something up
  EXPECT_THAT(
      check_that_fails(decoder_options(wal), wal.start(), bytes),
      ::testing::HasSubstr("the rest of the record at " + to_string(given_up) + " is missing"));
}

// ---- Timelines

TEST(WalDecoder, ANewTimelineMayBeginInsideASegmentAndAPage) {
  WalBuilder wal;
  wal.filler(20'000);
  const Lsn switch_point = wal.records().back().end;
  wal.switch_timeline(TimelineId(2), kSomeTime);
  wal.filler(20'000);
  auto options = decoder_options(wal);
  EXPECT_THAT(check_that_fails(options, wal.start(), wal.bytes()),
              ::testing::HasSubstr("timeline 2 on timeline 1"));
  options.timeline = TimelineId(2);
  auto records = decode(options, wal.start(), wal.bytes());
  ASSERT_TRUE(records) << records.error().message();
  expect_same(*records, wal.records());
  EXPECT_EQ(records->front().timeline, TimelineId(1));
  EXPECT_EQ(records->back().timeline, TimelineId(2));

  options.history =
      *TimelineHistory::parse(TimelineId(2), "1\t" + to_string(switch_point) + "\tpromoted\n");
  records = decode(options, wal.start(), wal.bytes());
  ASSERT_TRUE(records) << records.error().message();
  options.history =
      *TimelineHistory::parse(TimelineId(2), "1\t" + to_string(wal.position()) + "\tpromoted\n");
  EXPECT_THAT(check_that_fails(options, wal.start(), wal.bytes()),
              ::testing::HasSubstr("the history says 1"));
}

TEST(WalDecoder, TimelinesNeverDecrease) {
  WalBuilder wal;
  wal.switch_timeline(TimelineId(3), kSomeTime);
  wal.filler(20'000);
  Bytes bytes = wal.bytes();
  store<std::uint32_t>(bytes.data() + 2 * kPage + 4, 2);
  auto options = decoder_options(wal);
  options.timeline = TimelineId(3);
  EXPECT_THAT(check_that_fails(options, wal.start(), bytes), ::testing::HasSubstr("2 after 3"));
}

// ---- Damage

// Bytes that no check covers: padding behind records, bytes 20 to 23 of page headers, and the page
// flag 0x04.
std::vector<std::uint8_t> unchecked_bits(const WalBuilder& wal) {
  std::vector<std::uint8_t> mask(wal.bytes().size());
  for (const auto& record : wal.records()) {
    const std::size_t end = record.end - wal.start();
    const std::size_t padding = (8 - record.bytes.size() % 8) % 8;
    for (std::size_t i = 0; i < padding; ++i) mask[end - 1 - i] = 0xFF;
  }
  for (std::size_t page = 0; page < mask.size(); page += kPage) {
    mask[page + 2] = 0x04;
    std::fill_n(mask.begin() + static_cast<std::ptrdiff_t>(page + 20), 4, 0xFF);
  }
  return mask;
}

// Padding after a record that spans pages isn't told by its length alone, so such records are a
// multiple of 8 here.
TEST(WalDecoder, EveryFlippedByteThatAnyCheckCoversIsFound) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  WalBuilder wal;
  while (wal.position() < wal.start() + 4 * kPage) {
    if (random() % 8 == 0) {
      wal.filler(8 * (60 + random() % 1200));
    } else {
      wal.filler(26 + random() % 200);
      const auto& record = wal.records().back();
      const auto content = record.start.value() / kPage == (record.end - 1).value() / kPage;
      if (!content) break;
    }
  }
  const std::size_t flipped_size = wal.position() - wal.start();
  wal.fill_to(Lsn((wal.position().value() / kPage + 2) * kPage + 24));
  const auto harmless = unchecked_bits(wal);
  Bytes bytes = wal.bytes();
  std::size_t found = 0;
  for (std::size_t i = 0; i < flipped_size; ++i) {
    const auto mask = static_cast<std::uint8_t>(1u << (random() % 8));
    bytes[i] ^= mask;
    const bool decodes = decode(decoder_options(wal), wal.start(), bytes).has_value();
    bytes[i] ^= mask;
    const auto& last = wal.records()[wal.records().size() - 2];
    const bool in_last = i >= last.start - wal.start() && i < last.end - wal.start();
    if (in_last && last.bytes.size() % 8 != 0) continue;
    ASSERT_EQ(decodes, (harmless[i] & mask) != 0)
        << "byte " << i << " with " << int(mask) << " at " << to_string(wal.start() + i);
    if (!decodes) ++found;
  }
  EXPECT_GT(found, flipped_size * 9 / 10);
}

struct PageDamage {
  std::string check;
  std::size_t offset;
  std::uint8_t value;
};
class DamagedPage : public ::testing::TestWithParam<PageDamage> {};
INSTANTIATE_TEST_SUITE_P(, DamagedPage,
                         ::testing::Values(PageDamage{"magic", kPage + 1, 0xEE},
                                           PageDamage{"flags", kPage + 3, 0x10},
                                           PageDamage{"long page header", kPage + 2, 0x07},
                                           PageDamage{"lacks the long header", 2, 0x04},
                                           PageDamage{"timeline", kPage + 4, 9},
                                           PageDamage{"page address", kPage + 9, 0x40},
                                           PageDamage{"bytes of a record remain", kPage + 16, 1},
                                           PageDamage{"disagree", kPage + 2, 0x04},
                                           PageDamage{"system identifier", 24, 1},
                                           PageDamage{"segment size", 34, 2},
                                           PageDamage{"block size", 37, 0x40}));

TEST_P(DamagedPage, IsRefusedAndTheCheckIsNamed) {
  WalBuilder wal;
  wal.filler(10'000);
  Bytes bytes = wal.bytes();
  bytes[GetParam().offset] = GetParam().value;
  EXPECT_THAT(check_that_fails(decoder_options(wal), wal.start(), bytes),
              ::testing::HasSubstr(GetParam().check));
}

// ---- Where valid WAL ends

TEST(DecodeValidPrefix, StopsBehindTheLastRecordOfAZeroTail) {
  WalBuilder wal;
  write_mixture(wal, 5);
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

// ---- Use

TEST(WalDecoder, BytesThatBelongElsewhereAreRefused) {
  WalBuilder wal;
  wal.filler(100);
  auto decoder = WalDecoder::start(decoder_options(wal), wal.start(), {}, nullptr);
  const auto pushed = decoder->push(wal.start() + 8, wal.bytes());
  ASSERT_FALSE(pushed);
  EXPECT_EQ(pushed.error().kind(), ErrorKind::kInvalid);
  EXPECT_TRUE(decoder->push(wal.start(), wal.bytes()));
}

TEST(WalDecoder, NothingCanBeCarriedOnFromTheMiddleOfASegment) {
  WalBuilder wal;
  wal.filler(100);
  auto decoder = WalDecoder::start(decoder_options(wal), wal.start(), {}, nullptr);
  ASSERT_TRUE(decoder->push(wal.bytes()));
  EXPECT_FALSE(decoder->carry());
}

TEST(WalDecoder, ACarryForAnotherPositionIsRefused) {
  WalBuilder wal;
  Carry carry;
  carry.position = wal.start() + (1 << 20);
  EXPECT_FALSE(WalDecoder::start(decoder_options(wal), wal.start(), carry, nullptr));
  EXPECT_FALSE(WalDecoder::start(decoder_options(wal), wal.start() + kPage, {}, nullptr));
}

TEST(WalDecoder, TheFirstRecordMustFollowTheCarrys) {
  WalBuilder wal;
  wal.filler(100);
  Carry carry;
  carry.position = wal.start();
  carry.last_record = wal.start() - 64;
  carry.timeline = TimelineId(1);
  const auto result = decode(decoder_options(wal), wal.start(), wal.bytes(), carry);
  ASSERT_FALSE(result);
  EXPECT_THAT(result.error().message(), ::testing::HasSubstr("prev-link is 0/0, expected 0/FFFC0"));
}

}  // namespace
}  // namespace pitr::test
