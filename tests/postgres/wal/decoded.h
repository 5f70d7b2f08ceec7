// What a decoder delivers, kept for comparison with what a WalBuilder wrote.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <random>

#include "postgres/wal/decoder.h"
#include "postgres/wal/wal_builder.h"

namespace pitr::test {

struct DecodedRecord {
  Lsn start;
  Lsn end;
  Lsn previous;
  std::uint8_t rmgr = 0;
  std::uint32_t xid = 0;
  std::uint32_t length = 0;
  TimelineId timeline;
  Bytes bytes;
};

inline wal::RecordSink collect_into(std::vector<DecodedRecord>& records) {
  return [&records](const wal::Record& record) -> Result<void> {
    records.push_back({record.start, record.end, record.header.previous, record.header.rmgr,
                       record.header.xid, record.header.total_length, record.timeline,
                       Bytes(record.bytes.begin(), record.bytes.end())});
    return {};
  };
}

inline wal::DecoderOptions decoder_options(const WalBuilder& wal) {
  wal::DecoderOptions options;
  options.system_identifier = wal.options().system_identifier;
  options.segment_size = wal.options().segment_size;
  options.timeline = wal.options().timeline;
  return options;
}

inline void expect_same(const std::vector<DecodedRecord>& decoded,
                        std::span<const BuiltRecord> built) {
  ASSERT_EQ(decoded.size(), built.size());
  for (std::size_t i = 0; i < built.size(); ++i) {
    SCOPED_TRACE("record " + std::to_string(i) + " at " + to_string(built[i].start));
    ASSERT_EQ(decoded[i].start, built[i].start);
    ASSERT_EQ(decoded[i].end, built[i].end);
    ASSERT_EQ(decoded[i].previous, built[i].previous);
    ASSERT_EQ(decoded[i].rmgr, built[i].rmgr);
    ASSERT_EQ(decoded[i].xid, built[i].xid);
    ASSERT_EQ(decoded[i].length, built[i].bytes.size());
    ASSERT_TRUE(decoded[i].bytes == built[i].bytes);
  }
}

inline constexpr std::size_t kPage = 8192;

// All records, in one piece.
inline Result<std::vector<DecodedRecord>> decode(const wal::DecoderOptions& options, Lsn start,
                                                 ByteView bytes,
                                                 std::optional<wal::Carry> carry = {}) {
  std::vector<DecodedRecord> records;
  auto started = wal::WalDecoder::start(options, start, std::move(carry), collect_into(records));
  auto decoder = TRY(std::move(started));
  TRY(decoder.push(bytes));
  return records;
}

// The message of what a decoder refuses, "none" where it does not.
inline std::string check_that_fails(const wal::DecoderOptions& options, Lsn start, ByteView bytes) {
  const auto result = decode(options, start, bytes);
  if (result) return "none";
  EXPECT_EQ(result.error().kind(), ErrorKind::kCorrupt);
  return result.error().message();
}

// Pushes in pieces of random sizes, most of them small.
inline Result<void> push_in_pieces(wal::WalDecoder& decoder, ByteView bytes,
                                   std::mt19937_64& random) {
  while (!bytes.empty()) {
    static constexpr std::size_t kLargest[] = {1, 7, 40, 300, 8192, 9000, 140'000};
    const std::size_t largest = kLargest[random() % std::size(kLargest)];
    const std::size_t size = std::min<std::size_t>(bytes.size(), 1 + random() % largest);
    TRY(decoder.push(decoder.position(), bytes.first(size)));
    bytes = bytes.subspan(size);
  }
  return {};
}

inline constexpr Timestamp kSomeTime = Timestamp::from_unix_us(1'800'000'000'123'456);

}  // namespace pitr::test
