// A streaming reader of the tar archives that BASE_BACKUP sends.
//
// Format: ustar as PostgreSQL src/port/tar.c writes it: numbers in octal or base-256, regular
// files, directories and symbolic links. Up to 14 the two zero blocks at the end are missing, so
// the end of input between entries is an end. Untrusted bytes: header checksums are verified, names
// that are absolute or contain ".." are refused, memory is one 512-byte block. Not thread-safe.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "common/bytes.h"
#include "common/clock.h"
#include "common/result.h"

namespace pitr {

struct TarEntry {
  enum class Kind { kFile, kDirectory, kSymlink };
  Kind kind = Kind::kFile;
  std::string path;         // relative, without a slash at the end
  std::string link_target;  // of a symbolic link
  std::uint64_t size_bytes = 0;
  std::uint32_t mode = 0;
  Timestamp modified;
};

class TarSink {
 public:
  virtual ~TarSink() = default;
  virtual Result<void> entry(const TarEntry& entry) = 0;
  virtual Result<void> data(ByteView bytes) = 0;  // of the current file; in all size_bytes
  virtual Result<void> entry_end() = 0;           // after every entry, with or without data
};

class TarReader {
 public:
  explicit TarReader(TarSink& sink) : sink_(sink) {}

  // Any piece of the archive, in order. Bad bytes are kCorrupt; a sink's error is passed on.
  Result<void> feed(ByteView bytes);
  // The archive is over; kCorrupt inside an entry.
  Result<void> finish();

 private:
  enum class State { kHeader, kData, kPadding, kEnd };
  Result<ByteView> feed_header(ByteView bytes);
  Result<void> start_entry();
  Result<void> end_data();

  TarSink& sink_;
  State state_ = State::kHeader;
  std::array<std::uint8_t, 512> block_{};
  std::size_t block_filled_ = 0;
  std::uint64_t left_bytes_ = 0;  // of the data, then of the padding
  std::uint64_t padding_bytes_ = 0;
};

}  // namespace pitr
