// Keeps stacks of tables short: how many of the newest tables become one, and the merges, which
// stream. A row takes part in a merge only when the merged table grows by half, so in O(log) of
// them in all.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "repository/backup/backup_manifest.h"
#include "repository/backup/digest_runs.h"
#include "repository/backup/own_rows.h"
#include "repository/repository.h"

namespace pitr {

inline constexpr std::size_t kMostLayers = 12;

// How many of the older tables (newest first) a new one of new_bytes is to be merged with. All of
// them: the merge is one into the oldest.
std::size_t tables_to_merge(std::uint64_t new_bytes, std::span<const TableInfo> older,
                            const MapOptions& options);

struct BlockStack {
  std::vector<TableInfo> tables;  // newest first
  std::vector<PackInfo> packs;    // those that some table refers to
  std::uint64_t written_bytes = 0;
  bool counted = false;  // live_bytes of the packs are exact: everything was merged into one table
};

// Puts a backup's own rows on its parent's tables. packs: the dictionary of the rows, and all that
// the parent's tables refer to. merge_all: whatever the sizes are. Where all become one table, that
// one is checked to cover the files (kCorrupt).
Result<BlockStack> stack_block_tables(const IncarnationStore& store, const EncodedRows& own,
                                      const FileRuns& files, std::vector<TableInfo> older,
                                      std::vector<PackInfo> packs, const MapOptions& options,
                                      bool merge_all);

struct DigestStack {
  std::vector<TableInfo> tables;
  std::uint64_t written_bytes = 0;
};
// The same for digests. Tables of the backup's own that were merged into others are removed.
Result<DigestStack> stack_digest_tables(const IncarnationStore& store, DigestRuns::Taken own,
                                        EncodedRows tombstones, std::vector<TableInfo> older,
                                        const MapOptions& options);

}  // namespace pitr
