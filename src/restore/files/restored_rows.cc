#include "restore/files/restored_rows.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "restore/recovery/recovery_plan.h"

namespace pitr {

bool is_restored_from_backup(const FileRow& row, const std::vector<TablespacePlace>& tablespaces) {
  static constexpr std::array<std::string_view, 10> kOwn = {
      kControlFilePath, kAutoConfPath,    "backup_label",    "tablespace_map", "recovery.signal",
      "standby.signal", "postmaster.pid", "postmaster.opts", "recovery.conf",  kRestoreDirectory};
  if (std::ranges::find(kOwn, row.path) != kOwn.end()) return false;
  if (row.path.starts_with(fmt::format("{}/", kRestoreDirectory))) return false;
  return std::ranges::none_of(tablespaces, [&](const TablespacePlace& place) {
    return !place.location.empty() && row.path == fmt::format("pg_tblspc/{}", place.oid);
  });
}

bool is_read_by_restore(const FileRow& row) {
  return row.path == kControlFilePath || row.path == kAutoConfPath;
}

}  // namespace pitr
