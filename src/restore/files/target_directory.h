// The places that a restore fills: the data directory and the tablespaces' directories. Looks at
// them before anything is written, and clears them where that was allowed.
//
// Clearing removes pg_control first and durably: from then on no server starts on what is left.
// Never clears a directory on which a server runs (postmaster.pid).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/file.h"
#include "repository/backup/backup_manifest.h"
#include "repository/backup/file_table.h"

namespace pitr {

// --tablespace-map: by oid or by the original location.
struct TablespaceMapping {
  std::string from;
  Path to;
};

struct TablespacePlace {
  std::uint32_t oid = 0;
  Path original;
  Path location;  // empty: in place, inside the data directory
};

// Where each of the backup's tablespaces goes: mapped, or its original location. kInvalid for
// mappings that fit no tablespace, relative paths, and places that lie in each other.
Result<std::vector<TablespacePlace>> place_tablespaces(
    const BackupManifest& backup, const Path& data_directory,
    const std::vector<TablespaceMapping>& mappings);

enum class Occupancy {
  kFree,         // absent or empty
  kInterrupted,  // a restore that did not finish
  kOccupied,     // a data directory, or a tablespace that belongs to the one being replaced
};

struct PlaceState {
  Path path;
  Occupancy occupancy = Occupancy::kFree;
  std::string description;  // "a PostgreSQL 15 data directory"
};

// kConflict where a server runs on the data directory, or a tablespace's directory may belong to
// another cluster; kInvalid for what is neither empty nor PostgreSQL's. Those are never cleared.
Result<std::vector<PlaceState>> inspect_places(const Path& data_directory,
                                               const std::vector<TablespacePlace>& tablespaces,
                                               const std::string& tablespace_version_directory);

// kInvalid, with the numbers, where a file system has too little room for the files, counting what
// clearing gives back.
Result<void> check_disk_space(const Path& data_directory,
                              const std::vector<TablespacePlace>& tablespaces,
                              const std::vector<FileRow>& files);

// kConflict where a server runs on the data directory.
Result<void> check_no_server(const Path& data_directory);

// The marker says that a restore is under way here, and which tablespaces it fills.
Path restoring_marker(const Path& data_directory);
Result<void> write_marker(const Path& data_directory,
                          const std::vector<TablespacePlace>& tablespaces);

// Removes files, links, and directories with all that is in them.
Result<void> remove_entries(const std::vector<Path>& paths);
// Removes what an earlier restore left in pitr_restore/, but for the marker and a journal.
Result<void> clear_restore_directory(const Path& data_directory);

// Empties the directories but for the marker, which is written first; of a tablespace only what
// belongs to this version of the server.
Result<void> clear_places(const Path& data_directory,
                          const std::vector<TablespacePlace>& tablespaces,
                          const std::string& tablespace_version_directory);

}  // namespace pitr
