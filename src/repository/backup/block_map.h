// Where the blocks of a backup's files lie: the layers of block rows laid over one another, newest
// on top, and checked against the files' sizes. One thread at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "repository/backup/layer_merge.h"
#include "repository/backup/table_rows.h"

namespace pitr {

using BlockRowSource = RowSource<PackedBlockRow>;

// The rows of one file in both layers where the newer one hides the older. Tombstones stay.
std::vector<PackedBlockRow> overlay(std::span<const PackedBlockRow> newer,
                                    std::span<const PackedBlockRow> older);

// kCorrupt names the first block of the file that has no place, or more bytes than it should.
Result<void> check_coverage(const FileRow& file, std::span<const PackedBlockRow> rows);

class BlockMap {
 public:
  // Newest first. All sources count packs in one dictionary.
  static Result<BlockMap> open(std::vector<std::unique_ptr<BlockRowSource>> layers);

  // The rows of the next file, which cover it exactly. Files come in ascending order; rows of files
  // that are passed over are kCorrupt, because a removed file leaves a tombstone.
  Result<std::vector<PackedBlockRow>> rows_of(const FileRow& file);
  // After the last file: kCorrupt where rows are left.
  Result<void> finish();

 private:
  explicit BlockMap(LayerMerge<PackedBlockRow> layers) : layers_(std::move(layers)) {}
  Result<void> skip_removed_files(const std::string* before);

  LayerMerge<PackedBlockRow> layers_;
};

}  // namespace pitr
