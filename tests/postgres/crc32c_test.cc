#include "postgres/crc32c.h"

#include <random>

namespace pitr {
namespace {

TEST(Crc32cTest, KnownVectors) {
  // RFC 3720, B.4, and the customary check value.
  EXPECT_EQ(crc32c(as_bytes("123456789")), 0xE3069283u);
  EXPECT_EQ(crc32c(Bytes(32, 0)), 0x8A9136AAu);
  EXPECT_EQ(crc32c(Bytes(32, 0xFF)), 0x62A8AB43u);
  EXPECT_EQ(crc32c({}), 0u);
}

TEST(Crc32cTest, EveryPathAgreesAtEveryLengthAndSplit) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  Bytes bytes(20'000);
  for (auto& byte : bytes) byte = static_cast<std::uint8_t>(random());
  for (int i = 0; i < 3'000; ++i) {
    const std::size_t start = random() % 16;
    const std::size_t size = i < 1'000 ? i : random() % (bytes.size() - start);
    const auto range = ByteView(bytes).subspan(start, size);
    const auto expected = detail::crc32c_portable(range, 0);
    ASSERT_EQ(crc32c(range), expected) << start << " " << size;
    const std::size_t cut = size == 0 ? 0 : random() % size;
    ASSERT_EQ(crc32c(range.subspan(cut), crc32c(range.first(cut))), expected) << size << " " << cut;
  }
}

}  // namespace
}  // namespace pitr
