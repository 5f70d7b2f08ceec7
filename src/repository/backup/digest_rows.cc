#include "repository/backup/digest_rows.h"

#include <fmt/format.h>

#include <algorithm>

namespace pitr {

enum DigestColumn : std::uint8_t { kPath, kFirstBlock, kBlockCount, kKnown, kDigests };

static constexpr std::size_t kLongestNumbers = 30;  // all of a row but the digests
static constexpr std::uint64_t kBlocksInFile = std::uint64_t{1} << 32;

DigestRow cut(const DigestRow& row, std::uint64_t from, std::uint64_t to) {
  DigestRow part{row.path, static_cast<std::uint32_t>(from), row.count, {}};
  if (row.count != kToEndOfFile || to != row.end_block()) {
    part.count = static_cast<std::uint32_t>(to - from);
  }
  if (is_tombstone(row)) return part;
  const auto digests = std::span(row.digests).subspan(from - row.first_block, to - from);
  part.digests.assign(digests.begin(), digests.end());
  return part;
}

bool try_join(DigestRow& row, const DigestRow& next) {
  if (is_tombstone(row) != is_tombstone(next) || row.end_block() != next.first_block) return false;
  if (next.count == kToEndOfFile) {
    row.count = kToEndOfFile;
    return true;
  }
  const auto count = std::uint64_t{row.count} + next.count;
  if (count >= (is_tombstone(row) ? kToEndOfFile : kDigestsPerRow + 1)) return false;
  row.count = static_cast<std::uint32_t>(count);
  row.digests.insert(row.digests.end(), next.digests.begin(), next.digests.end());
  return true;
}

Result<void> check_row(const DigestRow& row) {
  const bool counts =
      is_tombstone(row) || (row.digests.size() == row.count && row.count <= kDigestsPerRow);
  const bool fits = row.count > 0 && row.end_block() <= kBlocksInFile;
  if (is_restorable_path(row.path) && counts && fits) return {};
  return Error::invalid(fmt::format("no row for {} digests of {} blocks from block {} of \"{}\"",
                                    row.digests.size(), row.count, row.first_block, row.path));
}

bool DigestRowEncoder::fits(const DigestRow& row) const {
  const auto size = columns_.size_bytes() + row.path.size() + 8 * row.digests.size();
  return size + kLongestNumbers <= kTableFrameBytes;
}

void DigestRowEncoder::add(const DigestRow& row) {
  const bool same_file = !empty() && row.path == previous_path_;
  paths_.write(columns_[kPath], row.path);
  columns_[kFirstBlock].varint(same_file ? row.first_block - previous_end_ : row.first_block);
  columns_[kBlockCount].varint(row.count == kToEndOfFile ? 0 : row.count);
  columns_[kKnown].varint(is_tombstone(row) ? 0 : 1);
  const auto* digests = reinterpret_cast<const std::uint8_t*>(row.digests.data());
  columns_[kDigests].raw({digests, 8 * row.digests.size()});
  columns_.count_row();
  previous_path_ = row.path;
  previous_end_ = row.end_block();
}

Bytes DigestRowEncoder::take() {
  paths_.reset();
  return columns_.take();
}

Result<DigestRowDecoder> DigestRowDecoder::open(ByteView frame) {
  auto columns = TRY(ColumnReader<5>::open(frame));
  return DigestRowDecoder(columns);
}

Result<bool> DigestRowDecoder::next() {
  if (columns_.rows_left() == 0) {
    if (!columns_.at_end()) return Error::corrupt("columns are longer than their rows");
    return false;
  }
  const auto previous_end = row_.end_block();
  const bool new_path = TRY(read_path(columns_[kPath], row_.path));
  const auto first = TRY(columns_[kFirstBlock].varint());
  const auto count = TRY(columns_[kBlockCount].varint());
  const auto known = TRY(columns_[kKnown].varint());
  const auto start = new_path ? first : previous_end + std::min(first, kBlocksInFile);
  const bool makes_sense = start < kBlocksInFile && known <= 1 &&
                           count < (known == 1 ? kDigestsPerRow + 1 : kToEndOfFile) &&
                           (count > 0 || known == 0);
  if (!makes_sense) {
    return Error::corrupt(
        fmt::format("{}: no digests of {} blocks from {}", row_.path, count, start));
  }
  row_.first_block = static_cast<std::uint32_t>(start);
  row_.count = count == 0 ? kToEndOfFile : static_cast<std::uint32_t>(count);
  const auto digests = TRY(columns_[kDigests].raw(known * count * 8));
  row_.digests.resize(known * count);
  if (!digests.empty()) std::memcpy(row_.digests.data(), digests.data(), digests.size());
  if (auto checked = check_row(row_); !checked) return Error::corrupt(checked.error().message());
  columns_.count_row();
  return true;
}

}  // namespace pitr
