// Compression of frames: LZ4 (block format) and zstd, with contexts that are made once and used
// again. A Compressor belongs to one thread; decompress() is thread-safe (a context a thread).
// Decompression is bounds-safe for any input.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "common/bytes.h"
#include "common/result.h"

namespace pitr {

// The numbers stand in frames (docs/repository-format.md).
enum class Compression : std::uint8_t { kNone = 0, kLz4 = 1, kZstd = 2 };

std::string_view to_string(Compression compression);

class Compressor {
 public:
  // level 0 is the default: acceleration 2 for LZ4 (higher is faster), level 1 for zstd (1 to 19).
  static Result<Compressor> create(Compression compression, int level = 0);
  Compressor(Compressor&&) noexcept;
  Compressor& operator=(Compressor&&) noexcept;
  ~Compressor();

  Compression compression() const;

  // What `into` must hold for `plain_size` bytes.
  std::size_t bound(std::size_t plain_size) const;
  // The compressed size; 0 where compression does not make it smaller: then store it raw.
  std::size_t compress(ByteView plain, MutableByteView into);

 private:
  struct State;
  explicit Compressor(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// kCorrupt unless the bytes decompress to exactly into.size() bytes.
Result<void> decompress(Compression compression, ByteView bytes, MutableByteView into);

}  // namespace pitr
