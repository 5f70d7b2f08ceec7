// Where the blocks of a backup's files lie: the layers of block rows laid over one another, newest
// on top, and checked against the files' sizes. One thread at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "repository/backup/table_rows.h"

namespace pitr {

// Block rows of one layer in ascending order, without overlaps.
class BlockRowSource {
 public:
  virtual ~BlockRowSource() = default;
  // False at the end.
  virtual Result<bool> next() = 0;
  virtual const PackedBlockRow& row() const = 0;
};

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
  struct Layer {
    std::unique_ptr<BlockRowSource> source;
    bool has_row = false;
  };
  explicit BlockMap(std::vector<Layer> layers) : layers_(std::move(layers)) {}
  // The path of the first row that is left, if any.
  const std::string* next_path() const;
  Result<std::vector<PackedBlockRow>> take_rows(const std::string& path);
  Result<void> skip_removed_files(const std::string* before);

  std::vector<Layer> layers_;
};

}  // namespace pitr
