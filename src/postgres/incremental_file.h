// Reads INCREMENTAL.<name>, the form in which PostgreSQL 17 and newer send a relation's file of
// which only some blocks changed.
//
// Format: src/backend/backup/basebackup_incremental.c and basebackup.c (sendFile); what it stands
// for: src/bin/pg_combinebackup/reconstruct.c. Little-endian u32: magic, number of blocks,
// truncation length; the numbers, counted in the file; zeros up to a whole block where there is any
// number; the blocks. Untrusted bytes: anything else, in size or order, is kCorrupt. Memory: the
// numbers, at most 512 KiB, and a block. Not thread-safe.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "common/bytes.h"
#include "common/result.h"

namespace pitr {

struct IncrementalHeader {
  // Blocks below it that aren't given are as they were in the older backup; others never.
  std::uint32_t truncation_blocks = 0;
  std::vector<std::uint32_t> blocks;  // given here; ascending
  // Of the file that this stands for: what is neither given nor older is zeros.
  std::uint32_t file_blocks() const {
    return blocks.empty() ? truncation_blocks : std::max(truncation_blocks, blocks.back() + 1);
  }
};

class IncrementalFileSink {
 public:
  virtual ~IncrementalFileSink() = default;
  virtual Result<void> header(const IncrementalHeader& header) = 0;      // once, before the blocks
  virtual Result<void> block(std::uint32_t number, ByteView bytes) = 0;  // each of them, in order
};

class IncrementalFileReader {
 public:
  static constexpr std::uint32_t kMagic = 0xD3AE1F0D;

  // size_bytes: of the whole INCREMENTAL file.
  IncrementalFileReader(std::uint64_t size_bytes, IncrementalFileSink& sink)
      : size_bytes_(size_bytes), sink_(sink) {}

  // Any piece of it, in order. A sink's error is passed on.
  Result<void> feed(ByteView bytes);
  // The file is over; kCorrupt where it isn't.
  Result<void> finish() const;

 private:
  Result<void> feed_header(ByteView& bytes);
  Result<void> feed_blocks(ByteView& bytes);
  Result<void> read_counts();
  Result<void> read_numbers();

  const std::uint64_t size_bytes_;
  IncrementalFileSink& sink_;
  Bytes head_;                    // what is there of the header, then of the current block
  std::size_t header_bytes_ = 0;  // 0: not known yet
  std::uint32_t count_ = 0;
  bool is_header_read_ = false;
  IncrementalHeader header_;
  std::size_t next_ = 0;  // index of the current block
};

}  // namespace pitr
