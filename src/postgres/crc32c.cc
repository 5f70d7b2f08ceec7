#include "postgres/crc32c.h"

#include <array>

#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

namespace pitr {
namespace {

constexpr std::uint32_t kPolynomial = 0x82F63B78;  // reflected

using Table = std::array<std::uint32_t, 256>;

constexpr std::array<Table, 8> make_tables() {
  std::array<Table, 8> tables{};
  for (std::uint32_t i = 0; i < 256; ++i) {
    std::uint32_t crc = i;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? kPolynomial : 0);
    tables[0][i] = crc;
  }
  for (std::uint32_t i = 0; i < 256; ++i) {
    for (std::size_t t = 1; t < 8; ++t) {
      tables[t][i] = (tables[t - 1][i] >> 8) ^ tables[0][tables[t - 1][i] & 0xFF];
    }
  }
  return tables;
}
constexpr auto kTables = make_tables();

// Eight bytes a step ("slicing by 8").
std::uint32_t portable(std::uint32_t crc, const std::uint8_t* at, std::size_t size) {
  for (; size >= 8; size -= 8, at += 8) {
    const std::uint64_t word = load<std::uint64_t>(at) ^ crc;
    crc = 0;
    for (std::size_t i = 0; i < 8; ++i) crc ^= kTables[7 - i][(word >> (8 * i)) & 0xFF];
  }
  for (; size > 0; --size, ++at) crc = (crc >> 8) ^ kTables[0][(crc ^ *at) & 0xFF];
  return crc;
}

#if defined(__x86_64__)

// The instruction takes three cycles but one can start every cycle, so three neighbouring stripes
// are summed at once. Joining them needs "the CRC after N more zero bytes", a linear map that four
// tables hold for one stripe length.
constexpr std::size_t kLongStripeBytes = 2048;
constexpr std::size_t kShortStripeBytes = 256;

using ShiftTables = std::array<Table, 4>;

constexpr std::uint32_t shift_one_zero_byte(std::uint32_t crc) {
  return (crc >> 8) ^ kTables[0][crc & 0xFF];
}

constexpr std::uint32_t apply(const std::array<std::uint32_t, 32>& columns, std::uint32_t value) {
  std::uint32_t sum = 0;
  for (std::size_t bit = 0; bit < 32; ++bit) {
    if ((value >> bit & 1) != 0) sum ^= columns[bit];
  }
  return sum;
}

// stripe_bytes is a power of two: the map for one byte is squared until it covers the stripe.
constexpr ShiftTables make_shift_tables(std::size_t stripe_bytes) {
  std::array<std::uint32_t, 32> columns{};
  for (std::size_t bit = 0; bit < 32; ++bit) columns[bit] = shift_one_zero_byte(1u << bit);
  for (std::size_t covered = 1; covered < stripe_bytes; covered *= 2) {
    auto squared = columns;
    for (std::size_t bit = 0; bit < 32; ++bit) squared[bit] = apply(columns, columns[bit]);
    columns = squared;
  }
  ShiftTables tables{};
  for (std::size_t byte = 0; byte < 4; ++byte) {
    for (std::uint32_t value = 0; value < 256; ++value) {
      tables[byte][value] = apply(columns, value << (8 * byte));
    }
  }
  return tables;
}

constexpr auto kLongShift = make_shift_tables(kLongStripeBytes);
constexpr auto kShortShift = make_shift_tables(kShortStripeBytes);

std::uint32_t shifted(const ShiftTables& tables, std::uint32_t crc) {
  return tables[0][crc & 0xFF] ^ tables[1][crc >> 8 & 0xFF] ^ tables[2][crc >> 16 & 0xFF] ^
         tables[3][crc >> 24];
}

template <std::size_t kStripeBytes>
__attribute__((target("sse4.2"))) std::uint32_t three_stripes(const ShiftTables& tables,
                                                              std::uint32_t crc,
                                                              const std::uint8_t* at) {
  std::uint64_t a = crc;
  std::uint64_t b = 0;
  std::uint64_t c = 0;
  for (std::size_t i = 0; i < kStripeBytes; i += 8) {
    a = _mm_crc32_u64(a, load<std::uint64_t>(at + i));
    b = _mm_crc32_u64(b, load<std::uint64_t>(at + kStripeBytes + i));
    c = _mm_crc32_u64(c, load<std::uint64_t>(at + 2 * kStripeBytes + i));
  }
  const auto ab = shifted(tables, static_cast<std::uint32_t>(a)) ^ static_cast<std::uint32_t>(b);
  return shifted(tables, ab) ^ static_cast<std::uint32_t>(c);
}

__attribute__((target("sse4.2"))) std::uint32_t hardware(std::uint32_t crc, const std::uint8_t* at,
                                                         std::size_t size) {
  for (; size >= 3 * kLongStripeBytes; size -= 3 * kLongStripeBytes, at += 3 * kLongStripeBytes) {
    crc = three_stripes<kLongStripeBytes>(kLongShift, crc, at);
  }
  for (; size >= 3 * kShortStripeBytes;
       size -= 3 * kShortStripeBytes, at += 3 * kShortStripeBytes) {
    crc = three_stripes<kShortStripeBytes>(kShortShift, crc, at);
  }
  std::uint64_t wide = crc;
  for (; size >= 8; size -= 8, at += 8) wide = _mm_crc32_u64(wide, load<std::uint64_t>(at));
  crc = static_cast<std::uint32_t>(wide);
  // A record of WAL is short: how its last seven bytes are taken counts.
  if ((size & 4) != 0) crc = _mm_crc32_u32(crc, load<std::uint32_t>(at)), at += 4;
  if ((size & 2) != 0) crc = _mm_crc32_u16(crc, load<std::uint16_t>(at)), at += 2;
  if ((size & 1) != 0) crc = _mm_crc32_u8(crc, *at);
  return crc;
}

const bool kHasInstruction = __builtin_cpu_supports("sse4.2") != 0;

#endif

}  // namespace

std::uint32_t detail::crc32c_portable(ByteView bytes, std::uint32_t previous) {
  return ~portable(~previous, bytes.data(), bytes.size());
}

std::uint32_t crc32c(ByteView bytes, std::uint32_t previous) {
#if defined(__x86_64__)
  if (kHasInstruction) return ~hardware(~previous, bytes.data(), bytes.size());
#endif
  return detail::crc32c_portable(bytes, previous);
}

}  // namespace pitr
