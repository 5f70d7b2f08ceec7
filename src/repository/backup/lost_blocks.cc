#include "repository/backup/lost_blocks.h"

#include <algorithm>

#include "repository/backup/block_digests.h"

namespace pitr {

Result<LostBlocks> LostBlocks::read(const IncarnationStore& store, const ParentBackup& parent) {
  LostBlocks lost;
  TRY(blocks_in_packs(
      store, parent.manifest, parent.leave_packs,
      [&](const std::string& path, std::uint32_t first_block, std::uint32_t count) -> Result<void> {
        lost.files_[path].push_back({first_block, std::uint64_t{first_block} + count});
        return {};
      }));
  return lost;
}

void LostBlocks::forget(const std::string& path, std::uint32_t first_block,
                        std::span<std::uint64_t> digests) const {
  const auto file = files_.find(path);
  if (file == files_.end()) return;
  const auto& runs = file->second;
  const std::uint64_t end = first_block + digests.size();
  auto run = std::ranges::partition_point(
      runs, [&](const Run& earlier) { return earlier.end <= first_block; });
  for (; run != runs.end() && run->first < end; ++run) {
    const auto to = std::min(run->end, end);
    for (std::uint64_t block = std::max(run->first, first_block); block < to; ++block) {
      digests[block - first_block] = BlockDigests::kUnknown;
    }
  }
}

}  // namespace pitr
