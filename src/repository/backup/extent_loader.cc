#include "repository/backup/extent_loader.h"

#include <algorithm>

#include "repository/backup/block_layers.h"

namespace pitr {

// The wanted parts of a row.
void ExtentLoader::visit_wanted(std::uint32_t file, const PackedBlockRow& row,
                                const Visitor& visitor) const {
  if (!only_) {
    visitor({file, row.pack, row.plain_offset, std::uint64_t{row.first_block} * kBlockSize,
             row.size_bytes()});
    return;
  }
  for (auto from = std::uint64_t{row.first_block};;) {
    const auto run = only_->next_run(file, from, row.end_block());
    if (!run) return;
    from = run->first + run->count;
    const auto part = cut(row, run->first, from);
    visitor({file, part.pack, part.plain_offset, run->first * kBlockSize, part.size_bytes()});
  }
}

// Of the files before end_file.
Result<void> ExtentLoader::visit(std::uint32_t end_file, const Visitor& visitor) const {
  const auto numbers = TRY(PackNumbers::of(manifest_.packs));
  auto layers = TRY(open_block_layers(store_, manifest_.block_tables, numbers));
  auto map = TRY(BlockMap::open(std::move(layers)));
  for (std::uint32_t file = 0; file < end_file; ++file) {
    const auto rows = TRY(map.rows_of(files_[file]));
    for (const auto& row : rows) visit_wanted(file, row, visitor);
  }
  if (end_file < files_.size()) return {};
  return map.finish();
}

Result<ExtentSurvey> ExtentLoader::survey(std::uint64_t most_extents) const {
  ExtentSurvey survey;
  survey.packs.resize(manifest_.packs.size());
  survey.wanted_bytes.resize(files_.size());
  survey.extents.emplace();
  TRY(visit(static_cast<std::uint32_t>(files_.size()), [&](const Extent& extent) {
    auto& pack = survey.packs[extent.pack];
    ++pack.extents;
    pack.end_offset = std::max(pack.end_offset, extent.pack_end());
    survey.wanted_bytes[extent.file] += extent.size_bytes;
    if (!survey.extents) return;
    if (survey.extents->size() == most_extents) {
      survey.extents.reset();
    } else {
      survey.extents->push_back(extent);
    }
  }));
  return survey;
}

Result<std::vector<Extent>> ExtentLoader::load(const PackRange& packs) const {
  std::vector<Extent> extents;
  TRY(visit(static_cast<std::uint32_t>(files_.size()), [&](const Extent& extent) {
    if (extent.pack >= packs.first && extent.pack < packs.second) extents.push_back(extent);
  }));
  return extents;
}

Result<std::vector<Extent>> ExtentLoader::load_file(std::uint32_t file) const {
  std::vector<Extent> extents;
  TRY(visit(file + 1, [&](const Extent& extent) {
    if (extent.file == file) extents.push_back(extent);
  }));
  return extents;
}

std::vector<PackRange> batches_of(const std::vector<ExtentSurvey::Pack>& packs,
                                  std::uint64_t most_extents) {
  std::vector<PackRange> batches;
  std::uint64_t extents = 0;
  for (std::uint32_t pack = 0; pack < packs.size(); ++pack) {
    if (batches.empty() || extents + packs[pack].extents > most_extents) {
      batches.emplace_back(pack, pack);
      extents = 0;
    }
    batches.back().second = pack + 1;
    extents += packs[pack].extents;
  }
  return batches;
}

}  // namespace pitr
