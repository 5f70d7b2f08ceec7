// Reads a backup's block map into the extents that a restore needs, in memory that doesn't grow
// with the backup: one look over all of it counts and checks, and then packs are taken together as
// far as their extents fit. Each load reads all block tables. One thread at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <utility>
#include <vector>

#include "repository/backup/backup_manifest.h"
#include "repository/backup/block_map.h"
#include "repository/backup/block_selection.h"
#include "repository/backup/file_table.h"
#include "repository/backup/pack_pieces.h"
#include "repository/repository.h"

namespace pitr {

// Packs [first, second), as numbered in the manifest.
using PackRange = std::pair<std::uint32_t, std::uint32_t>;

struct ExtentSurvey {
  struct Pack {
    std::uint64_t extents = 0;
    std::uint64_t end_offset = 0;  // of the extent that reaches furthest
  };
  std::vector<Pack> packs;
  std::vector<std::uint64_t> wanted_bytes;  // of each file
  // All of them in order of files, where they are no more than the limit.
  std::optional<std::vector<Extent>> extents;
};

class ExtentLoader {
 public:
  // only: these blocks and no others; null: all. What is referred to must outlive the loader.
  ExtentLoader(const IncarnationStore& store, const BackupManifest& manifest,
               const std::vector<FileRow>& files, const BlockSelection* only)
      : store_(store), manifest_(manifest), files_(files), only_(only) {}

  // kCorrupt: the map doesn't cover every block of every file.
  Result<ExtentSurvey> survey(std::uint64_t most_extents) const;
  // Those in these packs, in order of files.
  Result<std::vector<Extent>> load(const PackRange& packs) const;
  // Those of one file, in order of its blocks.
  Result<std::vector<Extent>> load_file(std::uint32_t file) const;

 private:
  using Visitor = std::function<void(const Extent&)>;
  Result<void> visit(std::uint32_t end_file, const Visitor& visitor) const;
  void visit_wanted(std::uint32_t file, const PackedBlockRow& row, const Visitor& visitor) const;

  const IncarnationStore& store_;
  const BackupManifest& manifest_;
  const std::vector<FileRow>& files_;
  const BlockSelection* const only_;
};

// Neighbouring packs together, at most so many extents each time unless one pack has more.
std::vector<PackRange> batches_of(const std::vector<ExtentSurvey::Pack>& packs,
                                  std::uint64_t most_extents);

}  // namespace pitr
