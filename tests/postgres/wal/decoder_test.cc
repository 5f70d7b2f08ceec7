#include "postgres/wal/decoder.h"

#include <gtest/gtest.h>

#include "postgres/wal/decoded.h"

namespace pitr::test {
namespace {

using wal::Carry;
using wal::WalDecoder;

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
