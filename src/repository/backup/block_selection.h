// Which blocks of a backup's files somebody wants: a bit per block, 16 MiB per TiB, and eight bytes
// per file. Several threads may add at once, as long as no two add to the same 64 blocks of a file;
// whoever reads comes after.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "repository/backup/file_table.h"

namespace pitr {

class BlockSelection {
 public:
  explicit BlockSelection(std::span<const FileRow> files);

  // Blocks behind the file's end are passed over.
  void add(std::uint32_t file, std::uint64_t first_block, std::uint64_t count);
  void add_file(std::uint32_t file) { add(file, 0, block_count(file)); }
  bool contains(std::uint32_t file, std::uint64_t block) const;

  struct Run {
    std::uint64_t first = 0;
    std::uint64_t count = 0;
  };
  // The first run of wanted blocks in [from, to), cut to it.
  std::optional<Run> next_run(std::uint32_t file, std::uint64_t from, std::uint64_t to) const;

  std::uint64_t block_count(std::uint32_t file) const { return block_counts_[file]; }
  std::size_t file_count() const { return block_counts_.size(); }

 private:
  std::vector<std::uint64_t> first_words_;
  std::vector<std::uint32_t> block_counts_;
  std::vector<std::uint64_t> words_;
};

}  // namespace pitr
