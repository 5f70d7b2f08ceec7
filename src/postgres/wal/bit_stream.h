// Bits in bytes, the least significant one first: how changed_blocks_codec.cc writes gaps. Not
// thread-safe.
#pragma once

#include <algorithm>
#include <bit>

#include "common/bytes.h"
#include "common/result.h"

namespace pitr::wal {

class BitWriter {
 public:
  explicit BitWriter(ByteWriter& out) : out_(out) {}
  void put(std::uint64_t value, unsigned bits) {
    if (bits > 32) {
      put(value & 0xFFFFFFFF, 32);
      value >>= 32;
      bits -= 32;
    }
    held_ |= value << held_bits_;
    held_bits_ += bits;
    if (held_bits_ < 32) return;
    out_.u32(static_cast<std::uint32_t>(held_));
    held_ >>= 32;
    held_bits_ -= 32;
  }
  void ones(std::uint32_t count) {
    for (; count >= 32; count -= 32) put(0xFFFFFFFF, 32);
    put((std::uint64_t{1} << count) - 1, count);
  }
  void flush() {
    for (; held_bits_ > 0; held_bits_ -= std::min(held_bits_, 8u), held_ >>= 8) {
      out_.u8(static_cast<std::uint8_t>(held_));
    }
  }

 private:
  ByteWriter& out_;
  std::uint64_t held_ = 0;  // fewer than 32 bits between calls
  unsigned held_bits_ = 0;
};

class BitReader {
 public:
  explicit BitReader(ByteReader& in) : in_(in) {}
  Result<std::uint32_t> bits(unsigned count) {
    while (held_bits_ < count) TRY(fill());
    const auto value = static_cast<std::uint32_t>(held_ & ((std::uint64_t{1} << count) - 1));
    held_ >>= count;
    held_bits_ -= count;
    return value;
  }
  // How many ones stand before the next zero, which is taken too. kCorrupt where there are more.
  Result<std::uint32_t> ones(std::uint32_t most) {
    std::uint32_t count = 0;
    while (true) {
      if (held_bits_ == 0) TRY(fill());
      const auto here = std::min(static_cast<unsigned>(std::countr_one(held_)), held_bits_);
      count += here;
      if (count > most) return Error::corrupt("a gap leaves its chunk");
      held_ >>= here;
      held_bits_ -= here;
      if (held_bits_ == 0) continue;
      held_ >>= 1;
      --held_bits_;
      return count;
    }
  }
  // The padding has to be zeros: every set has one form only.
  Result<void> finish() {
    if (held_ != 0) return Error::corrupt("bits follow the last block");
    return {};
  }

 private:
  Result<void> fill() {
    const std::uint64_t byte = TRY(in_.u8());
    held_ |= byte << held_bits_;
    held_bits_ += 8;
    return {};
  }
  ByteReader& in_;
  std::uint64_t held_ = 0;
  unsigned held_bits_ = 0;
};

}  // namespace pitr::wal
