// The files of an earlier backup of which a server may send only what changed: a relation's main
// fork, of whole blocks, whose blocks are all right in that backup. They are told to the server
// (UPLOAD_MANIFEST), and what it sends is held against them. All other files it sends whole:
// - visibility maps, since clearing their bits left no trace in WAL before July 2026;
// - files with pages that were damaged in the backup;
// - files of relations that were truncated, created or dropped since, from the cut on. A server
//   counts what lies behind it as unchanged where the file grew again and the new blocks, zeros
//   still, left no WAL (basebackup_incremental.c, truncation_block_length): deleted rows would come
//   back.
//
// Memory: 20 bytes a file. Immutable once read; thread-safe.
#pragma once

#include <functional>
#include <optional>
#include <string_view>
#include <vector>

#include "postgres/wal/changed_blocks.h"
#include "repository/backup/backup_reader.h"

namespace pitr {

// A file of a relation's main fork.
struct RelationSegment {
  wal::RelationId relation;
  std::uint32_t segment = 0;
  friend auto operator<=>(const RelationSegment&, const RelationSegment&) = default;
};
std::optional<RelationSegment> parse_main_fork_path(std::string_view path);

class SendableFiles {
 public:
  using Visitor = std::function<Result<void>(const FileRow& file)>;

  // changed: what the WAL since the backup's start names. Calls visit for each of the files.
  static Result<SendableFiles> read(const IncarnationStore& store, const BackupManifest& backup,
                                    const wal::ChangedBlocks& changed, const Visitor& visit);

  // The blocks that the file has in the backup; nullopt: not one of these files.
  std::optional<std::uint32_t> blocks_of(const RelationSegment& file) const;

 private:
  struct Entry {
    RelationSegment file;
    std::uint32_t blocks = 0;
  };
  std::vector<Entry> entries_;  // by file
};

}  // namespace pitr
