// Bytes that LZ4 makes about as much of as of WAL: half of every 128 are random.
#pragma once

#include <random>

#include "common/bytes.h"

namespace pitr::bench {

inline Bytes wal_like(std::size_t size_bytes, std::uint64_t seed = 1) {
  std::mt19937_64 random(seed);
  Bytes bytes(size_bytes);
  for (std::size_t i = 0; i + 8 <= size_bytes; i += 8) {
    store<std::uint64_t>(bytes.data() + i, i % 128 < 64 ? random() : seed);
  }
  return bytes;
}

}  // namespace pitr::bench
