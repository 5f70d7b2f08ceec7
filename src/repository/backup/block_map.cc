#include "repository/backup/block_map.h"

#include <fmt/format.h>

#include <algorithm>

namespace pitr {

std::vector<PackedBlockRow> overlay(std::span<const PackedBlockRow> newer,
                                    std::span<const PackedBlockRow> older) {
  return overlay_rows(newer, older);
}

Result<void> check_coverage(const FileRow& file, std::span<const PackedBlockRow> rows) {
  std::uint64_t covered_bytes = 0;
  for (const auto& row : rows) {
    const std::uint64_t start = std::uint64_t{row.first_block} * kBlockSize;
    if (start > covered_bytes) break;
    if (start < covered_bytes) {
      return Error::corrupt(fmt::format("{}: block {} has two places", file.path, row.first_block));
    }
    covered_bytes = start + row.size_bytes();
  }
  if (covered_bytes == file.size_bytes) return {};
  if (covered_bytes > file.size_bytes) {
    return Error::corrupt(fmt::format("{} has {} bytes, but there are blocks for {}", file.path,
                                      file.size_bytes, covered_bytes));
  }
  return Error::corrupt(fmt::format("{}: block {} of {} has no place", file.path,
                                    covered_bytes / kBlockSize,
                                    (file.size_bytes + kBlockSize - 1) / kBlockSize));
}

Result<BlockMap> BlockMap::open(std::vector<std::unique_ptr<BlockRowSource>> sources) {
  auto layers = TRY(LayerMerge<PackedBlockRow>::open(std::move(sources)));
  return BlockMap(std::move(layers));
}

Result<void> BlockMap::skip_removed_files(const std::string* before) {
  while (const std::string* path = layers_.next_path()) {
    if (before != nullptr && *path >= *before) break;
    const std::string skipped = *path;
    const auto rows = TRY(layers_.take(skipped));
    if (!std::ranges::all_of(rows, [](const auto& row) { return is_tombstone(row); })) {
      return Error::corrupt(fmt::format("there are blocks of {}, but no such file", skipped));
    }
  }
  return {};
}

Result<std::vector<PackedBlockRow>> BlockMap::rows_of(const FileRow& file) {
  TRY(skip_removed_files(&file.path));
  auto rows = TRY(layers_.take(file.path));
  std::erase_if(rows, [](const auto& row) { return is_tombstone(row); });
  TRY(check_coverage(file, rows));
  return rows;
}

Result<void> BlockMap::finish() {
  return skip_removed_files(nullptr);
}

}  // namespace pitr
