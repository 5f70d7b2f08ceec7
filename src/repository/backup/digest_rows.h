// How rows of digest tables are written: the digests of some adjacent blocks of a file, or a
// tombstone. docs/repository-format.md ("Digest tables") has the bytes. As table_rows.h.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "repository/backup/table_rows.h"

namespace pitr {

inline constexpr std::uint32_t kDigestsPerRow = 1024;

struct DigestRow {
  std::string path;
  std::uint32_t first_block = 0;
  std::uint32_t count = 0;             // tombstones may have kToEndOfFile
  std::vector<std::uint64_t> digests;  // one a block; none: a tombstone

  std::uint64_t end_block() const {
    return count == kToEndOfFile ? std::uint64_t{1} << 32 : std::uint64_t{first_block} + count;
  }
};

inline bool comes_before(const DigestRow& a, const DigestRow& b) {
  const int order = a.path.compare(b.path);
  return order != 0 ? order < 0 : a.first_block < b.first_block;
}
inline bool follows(const DigestRow& row, const DigestRow& previous) {
  const int order = previous.path.compare(row.path);
  return order < 0 || (order == 0 && previous.end_block() <= row.first_block);
}
inline bool is_tombstone(const DigestRow& row) {
  return row.digests.empty();
}
DigestRow cut(const DigestRow& row, std::uint64_t from, std::uint64_t to);
bool try_join(DigestRow& row, const DigestRow& next);
// kInvalid: a row that can't be written.
Result<void> check_row(const DigestRow& row);

class DigestRowEncoder {
 public:
  bool empty() const { return columns_.rows() == 0; }
  bool fits(const DigestRow& row) const;
  void add(const DigestRow& row);
  Bytes take();

 private:
  ColumnWriter<5> columns_;
  PathEncoder paths_;
  std::string previous_path_;
  std::uint64_t previous_end_ = 0;
};

class DigestRowDecoder {
 public:
  using Row = DigestRow;
  static Result<DigestRowDecoder> open(ByteView frame);
  // False at the end of the frame.
  Result<bool> next();
  const DigestRow& row() const { return row_; }

 private:
  explicit DigestRowDecoder(ColumnReader<5> columns) : columns_(columns) {}
  ColumnReader<5> columns_;
  DigestRow row_;
};

}  // namespace pitr
