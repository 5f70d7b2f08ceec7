#include "postgres/page_checksum.h"

#include <array>

namespace pitr {
namespace {

constexpr std::size_t kLanes = 32;
constexpr std::size_t kRows = kPageSizeBytes / (kLanes * sizeof(std::uint32_t));
constexpr std::size_t kChecksumOffset = 8;
constexpr std::size_t kUpperOffset = 14;
constexpr std::uint32_t kPrime = 16777619;

alignas(32) constexpr std::array<std::uint32_t, kLanes> kSeeds = {
    0x5B1F36E9, 0xB8525960, 0x02AB50AA, 0x1DE66D2A, 0x79FF467A, 0x9BB9F8A3, 0x217E7CD2, 0x83E13D2C,
    0xF8D4474F, 0xE39EB970, 0x42C6AE16, 0x993216FA, 0x7B093B5D, 0x98DAFF3C, 0xF718902A, 0x0B1C9CDB,
    0xE58F764B, 0x187636BC, 0x5D7B3BB1, 0xE73DE7DE, 0x92BEC979, 0xCCA6C0B2, 0x304A0979, 0x85AA43D4,
    0x783125BB, 0x6CA8EAA2, 0xE407EAC6, 0x4B5CFC3E, 0x9FBF8C76, 0x15CA20BE, 0xF2CA9FD3, 0x959BD756};

// Vectors are spelled out, so that speed does not hang on the optimiser's mood: four registers of
// eight lanes with AVX2, pairs of smaller ones without.
using Vector = std::uint32_t __attribute__((vector_size(32)));
constexpr std::size_t kVectors = kLanes * sizeof(std::uint32_t) / sizeof(Vector);

struct Row {
  Vector part[kVectors];
};

[[gnu::always_inline]] inline void mix(Row& sums, const Row& values) {
  for (std::size_t i = 0; i < kVectors; ++i) {
    const Vector mixed = sums.part[i] ^ values.part[i];
    sums.part[i] = mixed * kPrime ^ (mixed >> 17);
  }
}

[[gnu::always_inline]] inline std::uint32_t hash_page(const std::uint8_t* page) {
  Row sums;
  Row values;
  std::memcpy(&sums, kSeeds.data(), sizeof sums);
  // The stored checksum counts as zero.
  std::memcpy(&values, page, sizeof values);
  values.part[0][kChecksumOffset / sizeof(std::uint32_t)] &= 0xFFFF0000;
  mix(sums, values);
  for (std::size_t row = 1; row < kRows; ++row) {
    std::memcpy(&values, page + row * sizeof values, sizeof values);
    mix(sums, values);
  }
  values = Row{};
  mix(sums, values);
  mix(sums, values);
  std::uint32_t result = 0;
  for (const auto& part : sums.part) {
    for (std::size_t lane = 0; lane < sizeof part / sizeof result; ++lane) result ^= part[lane];
  }
  return result;
}

std::uint32_t hash_baseline(const std::uint8_t* page) {
  return hash_page(page);
}

#if defined(__x86_64__)
[[gnu::target("avx2")]] std::uint32_t hash_avx2(const std::uint8_t* page) {
  return hash_page(page);
}
const auto hash_best = __builtin_cpu_supports("avx2") != 0 ? hash_avx2 : hash_baseline;
#else
constexpr auto hash_best = hash_baseline;
#endif

bool is_zero(ByteView page) {
  // Word by word, a cache line at a time: new pages come in long runs.
  for (std::size_t at = 0; at < page.size(); at += 64) {
    std::uint64_t any = 0;
    for (std::size_t word = 0; word < 64; word += 8) any |= load<std::uint64_t>(&page[at + word]);
    if (any != 0) return false;
  }
  return true;
}

}  // namespace

std::uint16_t page_checksum(ByteView page, std::uint32_t block) {
  // Never 0, which is what a page without a checksum has.
  return static_cast<std::uint16_t>((hash_best(page.data()) ^ block) % 65535 + 1);
}

Lsn page_lsn(ByteView page) {
  // Two halves, the high one first (PageXLogRecPtr).
  return Lsn(std::uint64_t{load<std::uint32_t>(&page[0])} << 32 | load<std::uint32_t>(&page[4]));
}

PageVerdict check_page(ByteView page, std::uint32_t block) {
  if (load<std::uint16_t>(&page[kUpperOffset]) == 0) {
    return is_zero(page) ? PageVerdict::kNew : PageVerdict::kNewNotZero;
  }
  const bool valid = load<std::uint16_t>(&page[kChecksumOffset]) == page_checksum(page, block);
  return valid ? PageVerdict::kValid : PageVerdict::kMismatch;
}

}  // namespace pitr
