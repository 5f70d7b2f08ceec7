// A table's metadata: the first key of each frame, and the dictionary of packs that block rows
// count in. A plain value.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "repository/backup/file_table.h"

namespace pitr {

struct TableIndex {
  struct FirstKey {
    std::string path;
    std::uint32_t first_block = 0;  // 0 in file tables
  };
  std::uint64_t row_count = 0;
  std::vector<FirstKey> frames;
  std::vector<PackRef> packs;  // empty in file tables
};

Bytes encode_table_index(const TableIndex& index);
Result<TableIndex> decode_table_index(ByteView metadata);

// The metadata of a pack: its own block map, as frames of block rows that have only pack 0. So the
// packs of a backup that was never finished can be read.
Bytes encode_pack_map(const std::vector<Bytes>& frames);
Result<std::vector<Bytes>> decode_pack_map(ByteView metadata);

}  // namespace pitr
