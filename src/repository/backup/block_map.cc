#include "repository/backup/block_map.h"

#include <fmt/format.h>

#include <algorithm>

namespace pitr {

static bool is_tombstone(const PackedBlockRow& row) {
  return row.pack == PackedBlockRow::kTombstone;
}

// The part of a row in [from, to).
static PackedBlockRow cut(const PackedBlockRow& row, std::uint64_t from, std::uint64_t to) {
  PackedBlockRow part = row;
  part.first_block = static_cast<std::uint32_t>(from);
  if (row.count != kToEndOfFile || to != row.end_block()) {
    part.count = static_cast<std::uint32_t>(to - from);
  }
  part.plain_offset += (from - row.first_block) * kBlockSize;
  if (to != row.end_block()) part.last_block_bytes = kBlockSize;
  return part;
}

std::vector<PackedBlockRow> overlay(std::span<const PackedBlockRow> newer,
                                    std::span<const PackedBlockRow> older) {
  std::vector<PackedBlockRow> result(newer.begin(), newer.end());
  auto hiding = newer.begin();
  for (const auto& row : older) {
    std::uint64_t from = row.first_block;
    const std::uint64_t end = row.end_block();
    // Older rows ascend, so what ends before this one begins hides none of the next ones either.
    while (hiding != newer.end() && hiding->end_block() <= from) ++hiding;
    for (auto next = hiding; from < end; ++next) {
      const bool hidden = next != newer.end() && next->first_block < end;
      const std::uint64_t visible_end = hidden ? next->first_block : end;
      if (visible_end > from) result.push_back(cut(row, from, visible_end));
      if (!hidden) break;
      from = next->end_block();
    }
  }
  std::ranges::sort(result, {}, &PackedBlockRow::first_block);
  return result;
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
  std::vector<Layer> layers;
  for (auto& source : sources) {
    const bool has_row = TRY(source->next());
    layers.push_back({std::move(source), has_row});
  }
  return BlockMap(std::move(layers));
}

const std::string* BlockMap::next_path() const {
  const std::string* least = nullptr;
  for (const auto& layer : layers_) {
    if (!layer.has_row) continue;
    const std::string& path = layer.source->row().path;
    if (least == nullptr || path < *least) least = &path;
  }
  return least;
}

Result<std::vector<PackedBlockRow>> BlockMap::take_rows(const std::string& path) {
  std::vector<PackedBlockRow> visible;
  std::vector<PackedBlockRow> rows;
  for (auto& layer : layers_) {
    rows.clear();
    while (layer.has_row && layer.source->row().path == path) {
      rows.push_back(layer.source->row());
      layer.has_row = TRY(layer.source->next());
    }
    if (visible.empty()) {
      visible.swap(rows);
    } else if (!rows.empty()) {
      visible = overlay(visible, rows);
    }
  }
  std::erase_if(visible, is_tombstone);
  return visible;
}

Result<void> BlockMap::skip_removed_files(const std::string* before) {
  while (const std::string* path = next_path()) {
    if (before != nullptr && *path >= *before) break;
    const std::string skipped = *path;
    const auto rows = TRY(take_rows(skipped));
    if (!rows.empty()) {
      return Error::corrupt(fmt::format("there are blocks of {}, but no such file", skipped));
    }
  }
  return {};
}

Result<std::vector<PackedBlockRow>> BlockMap::rows_of(const FileRow& file) {
  TRY(skip_removed_files(&file.path));
  auto rows = TRY(take_rows(file.path));
  TRY(check_coverage(file, rows));
  return rows;
}

Result<void> BlockMap::finish() {
  return skip_removed_files(nullptr);
}

}  // namespace pitr
