// LZ4 and zstd behind one interface. A Compressor owns its library contexts: one per thread, reused
// for every frame. Decompression is safe on any bytes.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "common/bytes.h"
#include "common/result.h"

namespace pitr {

enum class Compression : std::uint8_t { kNone = 0, kLz4 = 1, kZstd = 2 };
std::string_view to_string(Compression compression);

class Compressor {
 public:
  // level 0 is the default: LZ4 acceleration 2, zstd level 1.
  Compressor(Compression compression, int level);
  Compressor(Compressor&&) noexcept;
  Compressor& operator=(Compressor&&) noexcept;
  ~Compressor();

  // Compresses into `into` (any size; what doesn't fit counts as incompressible). Returns the
  // compressed size, or 0 where the result would not be smaller than the input.
  std::size_t compress(ByteView plain, MutableByteView into);

 private:
  struct Contexts;
  Compression compression_;
  int level_;
  std::unique_ptr<Contexts> contexts_;
};

// Exactly into.size() plain bytes, or kCorrupt.
Result<void> decompress(Compression compression, ByteView compressed, MutableByteView into);

}  // namespace pitr
