// Lists what of a data directory and its tablespaces belongs into a base backup, by the server's
// own rules (postgres/data_directory.h). Sizes are fixed here: a file that grows later is repaired
// by WAL replay, one that shrinks is filled up with zeros. Reads only; one thread.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "common/file.h"
#include "common/result.h"
#include "postgres/wal/changed_blocks.h"
#include "repository/backup/backup_manifest.h"
#include "repository/backup/file_table.h"

namespace pitr {

struct WalkedFile {
  FileRow row;  // its path is that in the backup: pg_tblspc/<oid>/... in tablespaces
  Path source;  // where to read it
  bool is_relation = false;
  std::uint32_t first_block_in_fork = 0;  // relations: segment * 131072
  // Whose main fork it is a segment of.
  std::optional<wal::RelationId> main_fork;
  std::uint32_t segment = 0;
  // In an older backup that has a file of this path; not filled in by the walk.
  std::optional<std::uint64_t> older_size_bytes;
};

struct WalkedDirectory {
  std::vector<FileRow> directories;
  std::vector<WalkedFile> files;  // global/pg_control is not among them: it's copied last
  std::uint64_t total_bytes = 0;
};

Result<WalkedDirectory> walk_data_directory(const Path& data_directory,
                                            const std::vector<TablespaceInfo>& tablespaces,
                                            int server_major, std::uint32_t catalog_version);

}  // namespace pitr
