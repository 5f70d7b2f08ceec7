// What lies in a data directory: which entries belong into a base backup, what a relation file's
// name says, and the small files that tell whose directory it is.
//
// Rules: PostgreSQL src/backend/backup/basebackup.c (excludeDirContents, excludeFiles, sendDir),
// identical in 13-18, and src/common/relpath.c. Pure but for the read_ functions; thread-safe.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/file.h"
#include "common/result.h"

namespace pitr {

enum class EntryKind { kFile, kDirectory, kSymlink, kOther };

enum class BackupRule {
  kInclude,
  kSkip,
  kDirectoryOnly,   // recreate the directory, without what is in it; a link becomes a directory
  kTablespaceLink,  // a link in pg_tblspc: the tablespace is walked apart
};

// directory is relative to the data directory, "" for itself; tablespaces are seen at
// "pg_tblspc/<oid>". entry is the bare name. Does not decide on unlogged relations, which depends
// on their neighbours: see UnloggedRelations.
BackupRule backup_rule(std::string_view directory, std::string_view entry, EntryKind kind,
                       int server_major);

// Directories to recreate below a kDirectoryOnly pg_wal, relative to the data directory.
std::vector<std::string> required_wal_directories(int server_major);

enum class Fork : std::uint8_t { kMain = 0, kFreeSpaceMap = 1, kVisibilityMap = 2, kInit = 3 };
std::string_view to_string(Fork fork);  // "main", "fsm", "vm", "init"

// "16384", "16384_vm.2", "t3_16384_fsm"
struct RelationFileName {
  std::uint32_t number = 0;  // relfilenode
  Fork fork = Fork::kMain;
  std::uint32_t segment = 0;
  std::optional<std::uint32_t> temporary_backend;
  friend bool operator==(const RelationFileName&, const RelationFileName&) = default;
};
// nullopt: not a relation file. Leading zeros and segment 0 written out are not accepted.
std::optional<RelationFileName> parse_relation_file_name(std::string_view name);
std::string to_string(const RelationFileName& file);

// Where relation files lie: "global", "base/<db>", "pg_tblspc/<oid>/PG_.../<db>".
struct RelationDirectory {
  std::uint32_t tablespace = 0;  // 1664 pg_global, 1663 pg_default
  std::uint32_t database = 0;    // 0 in global
  friend bool operator==(const RelationDirectory&, const RelationDirectory&) = default;
};
std::optional<RelationDirectory> parse_relation_directory(std::string_view directory);

// Which relations of one directory are unlogged: those with an init fork in it. Of them only the
// init fork is backed up; the server rebuilds the rest from it.
class UnloggedRelations {
 public:
  void add_entry(std::string_view name);  // every name in the directory first
  void finish();
  bool must_skip(const RelationFileName& file) const;

 private:
  std::vector<std::uint32_t> numbers_;  // sorted by finish()
};

// "PG_15_202209061": the only entry of a tablespace that belongs to this server.
std::string tablespace_version_directory(int server_major, std::uint32_t catalog_version);
std::optional<int> parse_tablespace_version_directory(std::string_view name);  // its major version

Result<int> read_server_major(const Path& data_directory);  // PG_VERSION

struct PostmasterPid {
  std::int32_t pid = 0;  // negative: a stand-alone backend
  std::string data_directory;
  std::int64_t start_time_unix = 0;
  std::uint16_t port = 0;
  std::string socket_directory;  // may be empty
  std::string listen_address;    // may be empty
  std::string status;            // "ready", "starting", "standby", "stopping"; may be empty
};
// kNotFound: no server runs there. A file that is being written is kTransient.
Result<PostmasterPid> read_postmaster_pid(const Path& data_directory);

}  // namespace pitr
