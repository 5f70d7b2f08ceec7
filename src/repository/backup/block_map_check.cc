// What a backup's map says as a whole, from its tables alone.
#include <algorithm>

#include "repository/backup/backup_reader.h"
#include "repository/backup/backup_writer.h"
#include "repository/backup/block_layers.h"
#include "repository/backup/table_reader.h"

namespace pitr {

// Calls visit(file, rows) for each file of the backup, in order.
template <typename Visit>
static Result<void> walk_map(const IncarnationStore& store, const BackupManifest& manifest,
                             const Visit& visit) {
  const auto numbers = TRY(PackNumbers::of(manifest.packs));
  auto layers = TRY(open_block_layers(store, manifest.block_tables, numbers));
  auto map = TRY(BlockMap::open(std::move(layers)));
  const auto files = TRY(FileTableReader::open(store, manifest.file_table));
  while (true) {
    const bool found = TRY(files->next());
    if (!found) break;
    const auto rows = TRY(map.rows_of(files->row()));
    TRY(visit(files->row(), rows));
  }
  return map.finish();
}

Result<void> check_block_map(const IncarnationStore& store, const BackupManifest& manifest) {
  return with_context(
      walk_map(store, manifest, [](const auto&, const auto&) -> Result<void> { return {}; }),
      "backup " + manifest.id.text());
}

Result<void> blocks_in_packs(const IncarnationStore& store, const BackupManifest& manifest,
                             const std::vector<ObjectKey>& packs, const BlockRunVisitor& visit) {
  std::vector<bool> wanted;
  for (const auto& pack : manifest.packs) {
    wanted.push_back(std::ranges::find(packs, pack.key) != packs.end());
  }
  if (std::ranges::find(wanted, true) == wanted.end()) return {};
  return walk_map(store, manifest, [&](const FileRow& file, const auto& rows) -> Result<void> {
    for (const auto& row : rows) {
      if (wanted[row.pack]) TRY(visit(file.path, row.first_block, row.count));
    }
    return {};
  });
}

}  // namespace pitr
