// What lies in the places of a restore already, held against a backup's files: which of them are
// there, how large they are, and what doesn't belong. Follows no link but those of the tablespaces
// that the restore fills, and pg_wal's where that is asked for, so nothing outside is ever named.
// Reads only; one thread.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "repository/backup/file_table.h"
#include "restore/files/target_directory.h"

namespace pitr {

struct InventoryRequest {
  Path data_directory;
  std::vector<TablespacePlace> tablespaces;
  std::string version_directory;  // of the tablespaces: PG_15_...
  // The directory is the cluster's own, so what its links lead to is too: pg_wal stays where it is,
  // and tablespaces that the backup doesn't know are emptied. Otherwise it may be a copy of a
  // cluster that still runs on what these links lead to.
  bool is_own = false;
};

struct DirectoryInventory {
  // By file of the backup; nothing where it isn't there as a plain file that has no other name.
  std::vector<std::optional<std::uint64_t>> sizes;
  std::vector<Path> extra;  // files, links, and directories with all that is in them
  std::uint64_t entries = 0;
};

// rows: ascending by path; those that aren't wanted count as not in the backup. pg_control and
// pitr's own directory are passed over.
Result<DirectoryInventory> take_inventory(const InventoryRequest& request,
                                          std::span<const FileRow> rows,
                                          const std::function<bool(const FileRow&)>& is_wanted);

}  // namespace pitr
