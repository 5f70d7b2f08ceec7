// The tablespace_map file: the links in pg_tblspc that a starting server recreates.
//
// Format: one "<oid> <path>" line each; newline, carriage return and backslash in a path are
// escaped by a backslash (PostgreSQL src/backend/access/transam/xlog.c, do_pg_backup_start, and
// xlogrecovery.c, read_tablespace_map).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"

namespace pitr {

struct TablespaceMapEntry {
  std::uint32_t oid = 0;
  std::string path;
  friend bool operator==(const TablespaceMapEntry&, const TablespaceMapEntry&) = default;
};

Result<std::vector<TablespaceMapEntry>> parse_tablespace_map(std::string_view text);
std::string build_tablespace_map(const std::vector<TablespaceMapEntry>& entries);

}  // namespace pitr
