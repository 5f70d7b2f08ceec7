#include "codec/compression.h"

#include <gtest/gtest.h>

#include <random>

#include "codec/container_samples.h"

namespace pitr::test {

class Compressing : public testing::TestWithParam<Compression> {};
INSTANTIATE_TEST_SUITE_P(Methods, Compressing,
                         testing::Values(Compression::kLz4, Compression::kZstd),
                         [](const auto& variant) { return std::string(to_string(variant.param)); });

TEST_P(Compressing, ReturnsWhatWasCompressed) {
  Compressor compressor(GetParam(), 0);
  for (const std::size_t size : {100ul, 8192ul, 65536ul, 3'000'000ul}) {
    const auto plain = compressible_bytes(size);
    Bytes room(size + 1000);
    const auto compressed = compressor.compress(plain, room);
    ASSERT_GT(compressed, 0u);
    ASSERT_LT(compressed, size);
    Bytes again(size);
    value_of(decompress(GetParam(), ByteView(room).first(compressed), again));
    EXPECT_EQ(again, plain);
  }
}

TEST_P(Compressing, CountsWhatDoesNotGetSmallerAsIncompressible) {
  Compressor compressor(GetParam(), 0);
  Bytes room(70'000);
  EXPECT_EQ(compressor.compress(random_bytes(65536), room), 0u);
  EXPECT_EQ(compressor.compress(random_bytes(1), room), 0u);
  EXPECT_EQ(compressor.compress({}, room), 0u);
  // Nor where the result doesn't fit.
  EXPECT_EQ(compressor.compress(compressible_bytes(65536), MutableByteView(room).first(10)), 0u);
}

TEST_P(Compressing, TakesLevels) {
  const auto plain = compressible_bytes(65536);
  Bytes room(70'000);
  Compressor fast(GetParam(), GetParam() == Compression::kLz4 ? 50 : 1);
  Compressor dense(GetParam(), GetParam() == Compression::kLz4 ? 1 : 19);
  EXPECT_LE(dense.compress(plain, room), fast.compress(plain, room));
}

TEST_P(Compressing, RefusesAnythingButExactlyTheSizeAskedFor) {
  Compressor compressor(GetParam(), 0);
  const auto plain = compressible_bytes(5000);
  Bytes room(6000);
  const auto compressed = ByteView(room).first(compressor.compress(plain, room));
  for (const std::size_t size : {0ul, 4999ul, 5001ul}) {
    Bytes into(size);
    EXPECT_EQ(decompress(GetParam(), compressed, into).error().kind(), ErrorKind::kCorrupt);
  }
  Bytes into(5000);
  for (std::size_t size = 0; size < compressed.size(); ++size) {
    EXPECT_FALSE(decompress(GetParam(), compressed.first(size), into).has_value()) << size;
  }
}

TEST_P(Compressing, StaysInBoundsForArbitraryBytes) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937_64 random(seed);
  Compressor compressor(GetParam(), 0);
  Bytes room(6000), into(5000);
  const auto size = compressor.compress(compressible_bytes(5000), room);
  for (int i = 0; i < 2000; ++i) {
    Bytes damaged(room.begin(), room.begin() + static_cast<std::ptrdiff_t>(size));
    for (int flips = 0; flips < 3; ++flips) {
      damaged[random() % damaged.size()] = static_cast<std::uint8_t>(random());
    }
    (void)decompress(GetParam(), damaged, into);  // sanitizers watch
  }
}

TEST(Compression, LeavesBytesAloneWithoutMethod) {
  Compressor compressor(Compression::kNone, 0);
  const auto plain = compressible_bytes(100);
  Bytes room(200), into(100);
  EXPECT_EQ(compressor.compress(plain, room), 0u);
  value_of(decompress(Compression::kNone, plain, into));
  EXPECT_EQ(into, plain);
  EXPECT_FALSE(decompress(Compression::kNone, ByteView(plain).first(99), into).has_value());
  EXPECT_FALSE(decompress(static_cast<Compression>(9), plain, into).has_value());
}

}  // namespace pitr::test
