// Digests: XXH3 where speed counts and nobody forges, SHA-256 where somebody might. The streaming
// classes give the same values as the one-shot functions. Not thread-safe; one per thread.
#pragma once

#include <array>
#include <cstdint>
#include <memory>

#include "common/bytes.h"

namespace pitr {

using Digest128 = std::array<std::uint8_t, 16>;  // XXH3-128, canonical (big-endian) bytes
using Sha256Digest = std::array<std::uint8_t, 32>;

std::uint64_t xxh3_64(ByteView bytes);
std::uint64_t xxh3_64(ByteView bytes, std::uint64_t seed);
Digest128 xxh3_128(ByteView bytes);
Sha256Digest sha256(ByteView bytes);
Sha256Digest hmac_sha256(ByteView key, ByteView bytes);

class Xxh3Stream {
 public:
  Xxh3Stream();
  Xxh3Stream(Xxh3Stream&&) noexcept;
  Xxh3Stream& operator=(Xxh3Stream&&) noexcept;
  ~Xxh3Stream();
  void update(ByteView bytes);
  Digest128 digest() const;  // of everything so far

 private:
  struct State;
  std::unique_ptr<State> state_;
};

class Sha256Stream {
 public:
  Sha256Stream();
  Sha256Stream(Sha256Stream&&) noexcept;
  Sha256Stream& operator=(Sha256Stream&&) noexcept;
  ~Sha256Stream();
  void update(ByteView bytes);
  Sha256Digest finish();  // and begins anew

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace pitr
