// Damage, and by which check it is found.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "postgres/wal/decoded.h"
#include "postgres/wal/decoder.h"

namespace pitr::test {
namespace {

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

}  // namespace
}  // namespace pitr::test
