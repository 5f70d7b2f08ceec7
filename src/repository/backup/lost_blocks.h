// The blocks of a parent that lie in packs which are to be left: whatever their digests say, a
// backup that builds on it stores them afresh. Immutable once read; thread-safe. Memory: as for the
// rows of these packs.
#pragma once

#include <map>
#include <span>
#include <string>
#include <vector>

#include "repository/backup/backup_writer.h"

namespace pitr {

class LostBlocks {
 public:
  static Result<LostBlocks> read(const IncarnationStore& store, const ParentBackup& parent);

  // Makes the digests of such blocks unknown; they are those of a file from first_block on.
  void forget(const std::string& path, std::uint32_t first_block,
              std::span<std::uint64_t> digests) const;

 private:
  struct Run {
    std::uint32_t first = 0;
    std::uint64_t end = 0;
  };
  std::map<std::string, std::vector<Run>> files_;  // runs ascend
};

}  // namespace pitr
