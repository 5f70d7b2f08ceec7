#include "common/bytes.h"

namespace pitr {
namespace {

TEST(BytesTest, VarintsRoundTripAtTheirEdges) {
  for (const std::uint64_t value : {0ull, 127ull, 128ull, 16383ull, 16384ull, ~0ull, ~0ull >> 1}) {
    ByteWriter writer;
    writer.varint(value);
    writer.signed_varint(static_cast<std::int64_t>(value));
    ByteReader reader(writer.bytes());
    EXPECT_EQ(reader.varint().value(), value);
    EXPECT_EQ(reader.signed_varint().value(), static_cast<std::int64_t>(value));
    EXPECT_TRUE(reader.at_end());
  }
}

TEST(BytesTest, ReadingPastTheEndIsCorruptNotUndefined) {
  const Bytes bytes = {0x80, 0x80};
  EXPECT_EQ(ByteReader(bytes).varint().error().kind(), ErrorKind::kCorrupt);
  EXPECT_EQ(ByteReader(bytes).u32().error().kind(), ErrorKind::kCorrupt);
  EXPECT_EQ(ByteReader(bytes).raw(3).error().kind(), ErrorKind::kCorrupt);
}

TEST(BytesTest, AVarintOfMoreThan64BitsIsRefused) {
  const Bytes bytes = {0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x02};
  EXPECT_EQ(ByteReader(bytes).varint().error().kind(), ErrorKind::kCorrupt);
}

TEST(BytesTest, HexRoundTrips) {
  EXPECT_EQ(to_hex(from_hex("00ff7E").value()), "00ff7e");
  EXPECT_FALSE(from_hex("0").has_value());
  EXPECT_FALSE(from_hex("0g").has_value());
}

}  // namespace
}  // namespace pitr
