// The block tables of a manifest as layers of rows whose packs are numbered in one dictionary.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "repository/backup/backup_manifest.h"
#include "repository/backup/block_map.h"
#include "repository/repository.h"

namespace pitr {

// Numbers of packs: their places in a list.
class PackNumbers {
 public:
  // kCorrupt: a pack is in the list twice.
  static Result<PackNumbers> of(const std::vector<PackInfo>& packs);
  // kCorrupt: the manifest doesn't have this pack, which `table_id` refers to.
  Result<std::uint32_t> find(const ObjectKey& pack, const std::string& table_id) const;

 private:
  std::map<ObjectKey, std::uint32_t> numbers_;
};

Result<std::unique_ptr<BlockRowSource>> open_block_layer(const IncarnationStore& store,
                                                         const std::string& table_id,
                                                         const PackNumbers& numbers);
// All of them, newest first.
Result<std::vector<std::unique_ptr<BlockRowSource>>> open_block_layers(
    const IncarnationStore& store, const std::vector<TableInfo>& tables,
    const PackNumbers& numbers);
// The packs that a table refers to.
Result<std::vector<std::uint32_t>> packs_of_table(const IncarnationStore& store,
                                                  const std::string& table_id,
                                                  const PackNumbers& numbers);

}  // namespace pitr
