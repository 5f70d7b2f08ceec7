#include "repository/backup/table_rows.h"

#include <fmt/format.h>

#include <algorithm>

namespace pitr {

// The columns of block rows and of file rows, in the order of the frame.
enum BlockColumn : std::uint8_t {
  kBlockPath,
  kFirstBlock,
  kBlockCount,
  kPack,
  kPlainOffset,
  kMissingBytes
};
enum FileColumn : std::uint8_t { kFilePath, kModeAndType, kFileSize, kModified, kLinkTarget };

static constexpr std::size_t kLongestNumbers = 60;  // all numbers of a row, as varints
static constexpr std::uint32_t kModeBits = 07777;
static constexpr std::uint64_t kBlocksInFile = std::uint64_t{1} << 32;

bool is_restorable_path(std::string_view path) {
  if (path.empty() || path.size() > kLongestPath) return false;
  if (path.find('\0') != std::string_view::npos) return false;
  for (std::size_t from = 0;;) {
    const auto slash = std::min(path.find('/', from), path.size());
    const auto part = path.substr(from, slash - from);
    if (part.empty() || part == "." || part == "..") return false;
    if (slash == path.size()) return true;
    from = slash + 1;
  }
}

static bool has_possible_blocks(const PackedBlockRow& row) {
  const bool tombstone = row.pack == PackedBlockRow::kTombstone;
  const bool whole_rows = row.count > 0 && (tombstone || row.count != kToEndOfFile);
  const bool fits = row.end_block() <= kBlocksInFile;
  const bool ends = row.last_block_bytes > 0 && row.last_block_bytes <= kBlockSize;
  return whole_rows && fits && ends;
}

Result<void> check_row(const PackedBlockRow& row) {
  if (is_restorable_path(row.path) && has_possible_blocks(row)) return {};
  return Error::invalid(
      fmt::format("no row for {} blocks from block {} of \"{}\", the last of {} bytes", row.count,
                  row.first_block, row.path, row.last_block_bytes));
}

PackedBlockRow cut(const PackedBlockRow& row, std::uint64_t from, std::uint64_t to) {
  PackedBlockRow part = row;
  part.first_block = static_cast<std::uint32_t>(from);
  if (row.count != kToEndOfFile || to != row.end_block()) {
    part.count = static_cast<std::uint32_t>(to - from);
  }
  part.plain_offset += (from - row.first_block) * kBlockSize;
  if (to != row.end_block()) part.last_block_bytes = kBlockSize;
  return part;
}

bool try_join(PackedBlockRow& row, const PackedBlockRow& next) {
  if (row.pack != next.pack || row.end_block() != next.first_block) return false;
  if (next.count == kToEndOfFile) {
    row.count = kToEndOfFile;
    return true;
  }
  if (std::uint64_t{row.count} + next.count >= kToEndOfFile) return false;
  if (!is_tombstone(row)) {
    const bool adjacent = row.last_block_bytes == kBlockSize &&
                          row.plain_offset + row.size_bytes() == next.plain_offset;
    if (!adjacent) return false;
  }
  row.count += next.count;
  row.last_block_bytes = next.last_block_bytes;
  return true;
}

Result<void> check_row(const FileRow& row) {
  if (!is_restorable_path(row.path)) {
    return Error::invalid(fmt::format("\"{}\" is not a path below a data directory", row.path));
  }
  const bool symlink = row.type == FileType::kSymlink;
  const bool target_fits = symlink == !row.link_target.empty() &&
                           row.link_target.size() <= kLongestPath &&
                           row.link_target.find('\0') == std::string::npos;
  const bool size_fits = row.type == FileType::kFile ? row.size_bytes <= kBlocksInFile * kBlockSize
                                                     : row.size_bytes == 0;
  if (row.type <= FileType::kSymlink && row.mode <= kModeBits && target_fits && size_fits)
    return {};
  return Error::invalid(
      fmt::format("{}: no file of type {}, mode {:o}, {} bytes, link target \"{}\"", row.path,
                  static_cast<int>(row.type), row.mode, row.size_bytes, row.link_target));
}

void PathEncoder::write(ByteWriter& column, const std::string& path) {
  const auto shared =
      static_cast<std::size_t>(std::ranges::mismatch(previous_, path).in1 - previous_.begin());
  column.varint(shared);
  column.string(std::string_view(path).substr(shared));
  previous_ = path;
}

Result<bool> read_path(ByteReader& column, std::string& path) {
  const auto shared = TRY(column.varint());
  const auto rest_size = TRY(column.varint());
  if (shared > path.size() || rest_size > kLongestPath - std::min(shared, kLongestPath)) {
    return Error::corrupt(
        fmt::format("no path has {} bytes of \"{}\" and {} more", shared, path, rest_size));
  }
  const auto rest_bytes = TRY(column.raw(rest_size));
  const std::string_view rest = as_text(rest_bytes);
  const std::string_view replaced = std::string_view(path).substr(shared);
  const bool ascending =
      replaced.empty() || (!rest.empty() && rest.substr(0, 1) > replaced.substr(0, 1));
  if (!ascending) return Error::corrupt(fmt::format("paths are out of order behind \"{}\"", path));
  path.resize(shared);
  path.append(rest);
  return !rest.empty();
}

static Result<std::uint32_t> read_u32(ByteReader& column) {
  const auto value = TRY(column.varint());
  if (value > std::numeric_limits<std::uint32_t>::max()) {
    return Error::corrupt(fmt::format("{} where 32 bits are the limit", value));
  }
  return static_cast<std::uint32_t>(value);
}

bool BlockRowEncoder::fits(const PackedBlockRow& row) const {
  return columns_.size_bytes() + row.path.size() + kLongestNumbers <= kTableFrameBytes;
}

void BlockRowEncoder::add(const PackedBlockRow& row) {
  const bool same_file = !empty() && row.path == previous_path_;
  const bool tombstone = row.pack == PackedBlockRow::kTombstone;
  paths_.write(columns_[kBlockPath], row.path);
  columns_[kFirstBlock].varint(same_file ? row.first_block - previous_end_ : row.first_block);
  columns_[kBlockCount].varint(row.count == kToEndOfFile ? 0 : row.count);
  columns_[kPack].varint(tombstone ? 0 : std::uint64_t{row.pack} + 1);
  if (!tombstone) {
    columns_[kPlainOffset].signed_varint(
        static_cast<std::int64_t>(row.plain_offset - expected_offset_));
    columns_[kMissingBytes].varint(kBlockSize - row.last_block_bytes);
    expected_offset_ = row.plain_offset + row.size_bytes();
  }
  columns_.count_row();
  previous_path_ = row.path;
  previous_end_ = row.end_block();
}

Bytes BlockRowEncoder::take() {
  paths_.reset();
  expected_offset_ = 0;
  return columns_.take();
}

Result<BlockRowDecoder> BlockRowDecoder::open(ByteView frame) {
  auto columns = TRY(ColumnReader<6>::open(frame));
  return BlockRowDecoder(columns);
}

Result<bool> BlockRowDecoder::next() {
  if (columns_.rows_left() == 0) {
    if (!columns_.at_end()) return Error::corrupt("columns are longer than their rows");
    return false;
  }
  const auto previous_end = row_.end_block();
  const bool new_path = TRY(read_path(columns_[kBlockPath], row_.path));
  const auto first = TRY(columns_[kFirstBlock].varint());
  const auto count = TRY(read_u32(columns_[kBlockCount]));
  const auto pack = TRY(read_u32(columns_[kPack]));
  const auto start = new_path ? first : previous_end + std::min(first, kBlocksInFile);
  if (start >= kBlocksInFile)
    return Error::corrupt(fmt::format("{}: no block {}", row_.path, start));
  row_.first_block = static_cast<std::uint32_t>(start);
  row_.count = count == 0 ? kToEndOfFile : count;
  row_.pack = pack == 0 ? PackedBlockRow::kTombstone : pack - 1;
  row_.plain_offset = 0;
  row_.last_block_bytes = kBlockSize;
  if (pack != 0) {
    const auto offset = TRY(columns_[kPlainOffset].signed_varint());
    const auto missing = TRY(read_u32(columns_[kMissingBytes]));
    if (missing >= kBlockSize) return Error::corrupt(fmt::format("{}: an empty block", row_.path));
    row_.plain_offset = expected_offset_ + static_cast<std::uint64_t>(offset);
    row_.last_block_bytes = kBlockSize - missing;
    // Far from the range of numbers' ends, so that sums don't wrap.
    if (row_.plain_offset >> 48 != 0) {
      return Error::corrupt(fmt::format("{}: no offset {}", row_.path, row_.plain_offset));
    }
    expected_offset_ = row_.plain_offset + row_.size_bytes();
  }
  // A path that comes again was checked.
  if (new_path || row_.path.empty() || !has_possible_blocks(row_)) {
    if (auto checked = check_row(row_); !checked) return Error::corrupt(checked.error().message());
  }
  columns_.count_row();
  return true;
}

bool FileRowEncoder::fits(const FileRow& row) const {
  const auto size = columns_.size_bytes() + row.path.size() + row.link_target.size();
  return size + kLongestNumbers <= kTableFrameBytes;
}

void FileRowEncoder::add(const FileRow& row) {
  paths_.write(columns_[kFilePath], row.path);
  columns_[kModeAndType].varint(row.mode << 2 | static_cast<std::uint32_t>(row.type));
  columns_[kFileSize].varint(row.size_bytes);
  // Unsigned, because the difference of two times of a file system may be larger than either.
  columns_[kModified].signed_varint(
      static_cast<std::int64_t>(static_cast<std::uint64_t>(row.modified.unix_us()) -
                                static_cast<std::uint64_t>(previous_time_us_)));
  if (row.type == FileType::kSymlink) columns_[kLinkTarget].string(row.link_target);
  columns_.count_row();
  previous_time_us_ = row.modified.unix_us();
}

Bytes FileRowEncoder::take() {
  paths_.reset();
  previous_time_us_ = 0;
  return columns_.take();
}

Result<FileRowDecoder> FileRowDecoder::open(ByteView frame) {
  auto columns = TRY(ColumnReader<5>::open(frame));
  return FileRowDecoder(columns);
}

Result<bool> FileRowDecoder::next() {
  if (columns_.rows_left() == 0) {
    if (!columns_.at_end()) return Error::corrupt("columns are longer than their rows");
    return false;
  }
  const bool new_path = TRY(read_path(columns_[kFilePath], row_.path));
  if (!new_path) return Error::corrupt(fmt::format("{} comes twice", row_.path));

  const auto mode_and_type = TRY(read_u32(columns_[kModeAndType]));
  const auto type = mode_and_type & 3;
  if (type > 2) return Error::corrupt(fmt::format("{}: no file type {}", row_.path, type));
  row_.type = static_cast<FileType>(type);
  row_.mode = mode_and_type >> 2;
  row_.size_bytes = TRY(columns_[kFileSize].varint());
  const auto time_difference = TRY(columns_[kModified].signed_varint());
  // Unsigned, because a damaged number may be anything.
  row_.modified = Timestamp::from_unix_us(
      static_cast<std::int64_t>(static_cast<std::uint64_t>(row_.modified.unix_us()) +
                                static_cast<std::uint64_t>(time_difference)));
  row_.link_target.clear();
  if (row_.type == FileType::kSymlink) {
    row_.link_target = TRY(columns_[kLinkTarget].string(kLongestPath));
  }
  if (auto checked = check_row(row_); !checked) return Error::corrupt(checked.error().message());
  columns_.count_row();
  return true;
}

}  // namespace pitr
