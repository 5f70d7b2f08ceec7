// How rows of file tables and block tables are written: a frame's worth of rows as columns of
// varints, paths prefix-compressed. docs/repository-format.md ("Tables") has the bytes.
//
// Decoders check everything they read (kCorrupt) and keep only the current row in memory besides
// the encoded bytes, which the caller keeps alive. One thread at a time.
#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>

#include "common/bytes.h"
#include "repository/backup/file_table.h"

namespace pitr {

inline constexpr std::size_t kTableFrameBytes = 64 << 10;
inline constexpr std::size_t kLongestPath = 4096;

// A path that a restore may create below its target: relative, no empty part, no "." or "..".
bool is_restorable_path(std::string_view path);

// A block row whose pack is an index into the dictionary of whoever holds the row.
struct PackedBlockRow {
  static constexpr std::uint32_t kTombstone = std::numeric_limits<std::uint32_t>::max();

  std::string path;
  std::uint32_t first_block = 0;
  std::uint32_t count = 0;
  std::uint32_t pack = 0;  // or kTombstone
  std::uint64_t plain_offset = 0;
  std::uint32_t last_block_bytes = kBlockSize;

  std::uint64_t size_bytes() const {
    return std::uint64_t{count - 1} * kBlockSize + last_block_bytes;
  }
  // The block behind the last one; at most 2^32.
  std::uint64_t end_block() const {
    return count == kToEndOfFile ? std::uint64_t{1} << 32 : std::uint64_t{first_block} + count;
  }
};

inline bool comes_before(const PackedBlockRow& a, const PackedBlockRow& b) {
  const int order = a.path.compare(b.path);
  return order != 0 ? order < 0 : a.first_block < b.first_block;
}
inline bool comes_before(const FileRow& a, const FileRow& b) {
  return a.path < b.path;
}
inline bool is_tombstone(const PackedBlockRow& row) {
  return row.pack == PackedBlockRow::kTombstone;
}
// The part of a row in [from, to).
PackedBlockRow cut(const PackedBlockRow& row, std::uint64_t from, std::uint64_t to);
// Makes one row of both where `next` continues the other one.
bool try_join(PackedBlockRow& row, const PackedBlockRow& next);

// Whether a table may have this row behind the other one.
inline bool follows(const PackedBlockRow& row, const PackedBlockRow& previous) {
  const int order = previous.path.compare(row.path);
  return order < 0 || (order == 0 && previous.end_block() <= row.first_block);
}
inline bool follows(const FileRow& row, const FileRow& previous) {
  return previous.path < row.path;
}

// kInvalid: a row that can't be written. For rows from outside of this layer.
Result<void> check_row(const PackedBlockRow& row);
Result<void> check_row(const FileRow& row);

// Replaces the path by its successor in a path column. False where that is the same path again.
Result<bool> read_path(ByteReader& column, std::string& path);

template <std::size_t kColumns>
class ColumnWriter {
 public:
  ByteWriter& operator[](std::size_t column) { return columns_[column]; }
  void count_row() { ++rows_; }
  std::uint64_t rows() const { return rows_; }
  // Not less than take() gives.
  std::size_t size_bytes() const {
    std::size_t size = 4 * (kColumns + 1);
    for (const auto& column : columns_) size += column.size();
    return size;
  }
  // The frame; the writer is empty afterwards.
  Bytes take() {
    ByteWriter frame;
    frame.varint(std::exchange(rows_, 0));
    for (const auto& column : columns_) frame.varint(column.size());
    for (auto& column : columns_) frame.raw(column.take());
    return frame.take();
  }

 private:
  std::array<ByteWriter, kColumns> columns_;
  std::uint64_t rows_ = 0;
};

// Paths in ascending order: how much is shared with the one before, and the rest.
class PathEncoder {
 public:
  void write(ByteWriter& column, const std::string& path);
  void reset() { previous_.clear(); }

 private:
  std::string previous_;
};

// Encoders take checked rows in ascending order. A frame is full when fits() says no.
class BlockRowEncoder {
 public:
  bool empty() const { return columns_.rows() == 0; }
  bool fits(const PackedBlockRow& row) const;
  void add(const PackedBlockRow& row);
  Bytes take();

 private:
  ColumnWriter<6> columns_;
  PathEncoder paths_;
  std::string previous_path_;
  std::uint64_t previous_end_ = 0;
  std::uint64_t expected_offset_ = 0;
};

class FileRowEncoder {
 public:
  bool empty() const { return columns_.rows() == 0; }
  bool fits(const FileRow& row) const;
  void add(const FileRow& row);
  Bytes take();

 private:
  ColumnWriter<5> columns_;
  PathEncoder paths_;
  std::int64_t previous_time_us_ = 0;
};

template <std::size_t kColumns>
class ColumnReader {
 public:
  static Result<ColumnReader> open(ByteView frame) {
    ByteReader header(frame);
    ColumnReader reader;
    reader.rows_left_ = TRY(header.varint());
    std::array<std::uint64_t, kColumns> sizes;
    for (auto& size : sizes) size = TRY(header.varint());
    for (std::size_t i = 0; i < kColumns; ++i) {
      const auto column = TRY(header.raw(sizes[i]));
      reader.columns_[i] = ByteReader(column);
    }
    if (!header.at_end()) return Error::corrupt("bytes behind the last column");
    return reader;
  }

  ByteReader& operator[](std::size_t column) { return columns_[column]; }
  std::uint64_t rows_left() const { return rows_left_; }
  void count_row() { --rows_left_; }
  bool at_end() const {
    for (const auto& column : columns_) {
      if (!column.at_end()) return false;
    }
    return true;
  }

 private:
  ColumnReader() = default;
  std::array<ByteReader, kColumns> columns_ = make_empty(std::make_index_sequence<kColumns>());
  template <std::size_t... kIndex>
  static std::array<ByteReader, kColumns> make_empty(std::index_sequence<kIndex...>) {
    return {(static_cast<void>(kIndex), ByteReader(ByteView()))...};
  }
  std::uint64_t rows_left_ = 0;
};

class BlockRowDecoder {
 public:
  using Row = PackedBlockRow;
  static Result<BlockRowDecoder> open(ByteView frame);
  // False at the end of the frame.
  Result<bool> next();
  const PackedBlockRow& row() const { return row_; }

 private:
  explicit BlockRowDecoder(ColumnReader<6> columns) : columns_(columns) {}
  ColumnReader<6> columns_;
  PackedBlockRow row_;
  std::uint64_t expected_offset_ = 0;
};

class FileRowDecoder {
 public:
  using Row = FileRow;
  static Result<FileRowDecoder> open(ByteView frame);
  // False at the end of the frame.
  Result<bool> next();
  const FileRow& row() const { return row_; }

 private:
  explicit FileRowDecoder(ColumnReader<5> columns) : columns_(columns) {}
  ColumnReader<5> columns_;
  FileRow row_;
};

}  // namespace pitr
