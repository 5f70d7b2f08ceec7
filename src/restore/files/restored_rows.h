// Which rows of a backup become files of a restored directory as they are. Pure; thread-safe.
#pragma once

#include <string_view>
#include <vector>

#include "repository/backup/file_table.h"
#include "restore/files/directory_inventory.h"

namespace pitr {

inline constexpr std::string_view kControlFilePath = "global/pg_control";
inline constexpr std::string_view kAutoConfPath = "postgresql.auto.conf";

// False for what a restore writes by itself, what would make the server something else, and the
// links of tablespaces that lie elsewhere.
bool is_restored_from_backup(const FileRow& row, const std::vector<TablespacePlace>& tablespaces);
inline bool is_restored_from_backup(const FileRow& row, const InventoryRequest& places) {
  return is_restored_from_backup(row, places.tablespaces);
}
// What a restore needs of the backup to write its own.
bool is_read_by_restore(const FileRow& row);

}  // namespace pitr
