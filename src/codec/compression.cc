#include "codec/compression.h"

#include <fmt/format.h>
#include <lz4.h>
#include <zstd.h>

#include <algorithm>

namespace pitr {

static constexpr int kDefaultAcceleration = 2;
static constexpr int kDefaultZstdLevel = 1;

namespace {
struct FreeZstdCompressor {
  void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
};
struct FreeZstdDecompressor {
  void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
};
}  // namespace

struct Compressor::Contexts {
  std::unique_ptr<char[]> lz4;  // new[] aligns it as LZ4 asks for
  std::unique_ptr<ZSTD_CCtx, FreeZstdCompressor> zstd;
};

std::string_view to_string(Compression compression) {
  switch (compression) {
    case Compression::kNone:
      return "none";
    case Compression::kLz4:
      return "lz4";
    case Compression::kZstd:
      return "zstd";
  }
  return "unknown";
}

Compressor::Compressor(Compression compression, int level)
    : compression_(compression), level_(level), contexts_(std::make_unique<Contexts>()) {
  if (compression == Compression::kLz4) {
    if (level_ <= 0) level_ = kDefaultAcceleration;
    contexts_->lz4 = std::make_unique<char[]>(static_cast<std::size_t>(LZ4_sizeofState()));
  } else if (compression == Compression::kZstd) {
    level_ = level_ <= 0 ? kDefaultZstdLevel : std::min(level_, ZSTD_maxCLevel());
    contexts_->zstd.reset(ZSTD_createCCtx());
    if (contexts_->zstd == nullptr) throw std::bad_alloc();
    ZSTD_CCtx_setParameter(contexts_->zstd.get(), ZSTD_c_compressionLevel, level_);
  }
}

Compressor::Compressor(Compressor&&) noexcept = default;
Compressor& Compressor::operator=(Compressor&&) noexcept = default;
Compressor::~Compressor() = default;

std::size_t Compressor::compress(ByteView plain, MutableByteView into) {
  std::size_t size = 0;
  if (compression_ == Compression::kLz4 && plain.size() <= LZ4_MAX_INPUT_SIZE) {
    const auto capacity = std::min<std::size_t>(into.size(), LZ4_compressBound(LZ4_MAX_INPUT_SIZE));
    size = static_cast<std::size_t>(LZ4_compress_fast_extState(
        contexts_->lz4.get(), reinterpret_cast<const char*>(plain.data()),
        reinterpret_cast<char*>(into.data()), static_cast<int>(plain.size()),
        static_cast<int>(capacity), level_));
  } else if (compression_ == Compression::kZstd) {
    size =
        ZSTD_compress2(contexts_->zstd.get(), into.data(), into.size(), plain.data(), plain.size());
    if (ZSTD_isError(size)) size = 0;
  }
  return size < plain.size() ? size : 0;
}

static ZSTD_DCtx* zstd_decompressor_of_this_thread() {
  thread_local std::unique_ptr<ZSTD_DCtx, FreeZstdDecompressor> context;
  if (context == nullptr) context.reset(ZSTD_createDCtx());
  if (context == nullptr) throw std::bad_alloc();
  return context.get();
}

Result<void> decompress(Compression compression, ByteView compressed, MutableByteView into) {
  bool exact = false;
  switch (compression) {
    case Compression::kNone:
      exact = compressed.size() == into.size();
      // On pointers: GCC 12 does not make memmove of std::ranges::copy.
      if (exact) std::copy_n(compressed.data(), compressed.size(), into.data());
      break;
    case Compression::kLz4:
      if (compressed.size() > LZ4_MAX_INPUT_SIZE || into.size() > LZ4_MAX_INPUT_SIZE) break;
      exact = LZ4_decompress_safe(reinterpret_cast<const char*>(compressed.data()),
                                  reinterpret_cast<char*>(into.data()),
                                  static_cast<int>(compressed.size()),
                                  static_cast<int>(into.size())) == static_cast<int>(into.size());
      break;
    case Compression::kZstd:
      // An error code is larger than any size.
      exact = ZSTD_decompressDCtx(zstd_decompressor_of_this_thread(), into.data(), into.size(),
                                  compressed.data(), compressed.size()) == into.size();
      break;
  }
  if (exact) return {};
  return Error::corrupt(fmt::format("{} bytes do not decompress ({}) to {} bytes",
                                    compressed.size(), to_string(compression), into.size()));
}

}  // namespace pitr
