#include "postgres/page_checksum.h"

#include <random>

namespace pitr {
namespace {

Bytes page_of(std::uint32_t seed) {
  std::mt19937 random(seed);
  Bytes page(kPageSizeBytes);
  for (auto& byte : page) byte = static_cast<std::uint8_t>(random());
  store<std::uint16_t>(&page[14], 8192);
  return page;
}

// The algorithm of checksum_impl.h written as plainly as possible, with the lanes one by one.
std::uint16_t plain_checksum(Bytes page, std::uint32_t block) {
  static constexpr std::uint32_t kSeeds[32] = {
      0x5B1F36E9, 0xB8525960, 0x02AB50AA, 0x1DE66D2A, 0x79FF467A, 0x9BB9F8A3, 0x217E7CD2,
      0x83E13D2C, 0xF8D4474F, 0xE39EB970, 0x42C6AE16, 0x993216FA, 0x7B093B5D, 0x98DAFF3C,
      0xF718902A, 0x0B1C9CDB, 0xE58F764B, 0x187636BC, 0x5D7B3BB1, 0xE73DE7DE, 0x92BEC979,
      0xCCA6C0B2, 0x304A0979, 0x85AA43D4, 0x783125BB, 0x6CA8EAA2, 0xE407EAC6, 0x4B5CFC3E,
      0x9FBF8C76, 0x15CA20BE, 0xF2CA9FD3, 0x959BD756};
  store<std::uint16_t>(&page[8], 0);
  std::uint32_t folded = 0;
  for (std::size_t lane = 0; lane < 32; ++lane) {
    std::uint32_t sum = kSeeds[lane];
    const auto mix = [&](std::uint32_t value) {
      const std::uint32_t mixed = sum ^ value;
      sum = mixed * 16777619u ^ (mixed >> 17);
    };
    for (std::size_t row = 0; row < 64; ++row) {
      mix(load<std::uint32_t>(&page[(row * 32 + lane) * 4]));
    }
    mix(0);
    mix(0);
    folded ^= sum;
  }
  return static_cast<std::uint16_t>((folded ^ block) % 65535 + 1);
}

TEST(PageChecksumTest, AgreesWithThePlainAlgorithm) {
  for (std::uint32_t seed = 0; seed < 50; ++seed) {
    const auto page = page_of(seed);
    for (const std::uint32_t block : {0u, 1u, 131072u, 4294967294u}) {
      EXPECT_EQ(page_checksum(page, block), plain_checksum(page, block)) << seed << " " << block;
    }
  }
}

TEST(PageChecksumTest, TheStoredChecksumAndTheBlockNumberCount) {
  auto page = page_of(1);
  const std::uint32_t block = kRelationSegmentBlocks + 7;
  store(&page[8], page_checksum(page, block));
  EXPECT_EQ(check_page(page, block), PageVerdict::kValid);
  EXPECT_EQ(check_page(page, 7), PageVerdict::kMismatch);
  for (const std::size_t at : {0u, 8u, 10u, 100u, 8191u}) {
    auto damaged = page;
    damaged[at] ^= 1;
    EXPECT_EQ(check_page(damaged, block), PageVerdict::kMismatch) << at;
  }
}

TEST(PageChecksumTest, ANewPageMustBeZeroToTheLastByte) {
  Bytes page(kPageSizeBytes, 0);
  EXPECT_EQ(check_page(page, 3), PageVerdict::kNew);
  for (const std::size_t at : {0u, 13u, 16u, 4096u, 8191u}) {
    auto damaged = page;
    damaged[at] = 1;
    EXPECT_EQ(check_page(damaged, 3), PageVerdict::kNewNotZero) << at;
  }
}

TEST(PageChecksumTest, ThePagesLsnHasItsHighHalfFirst) {
  Bytes page(kPageSizeBytes, 0);
  store<std::uint32_t>(&page[0], 0x16);
  store<std::uint32_t>(&page[4], 0xB374D848);
  EXPECT_EQ(to_string(page_lsn(page)), "16/B374D848");
}

}  // namespace
}  // namespace pitr
