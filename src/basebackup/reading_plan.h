// What of each file of a data directory a backup reads, and what of that it stores: everything, or
// of the relations' main forks only what the WAL names and what lies behind the end that the file
// had in the parent (extending a file isn't logged). All other files are read whole: visibility
// maps and free space maps change without WAL, and there is no say about the rest at all; only
// their blocks that differ from the parent's are stored.
#pragma once

#include <vector>

#include "basebackup/backup_basis.h"
#include "basebackup/copy_task.h"
#include "basebackup/directory_walk.h"
#include "repository/backup/backup_writer.h"

namespace pitr {

// Of one file.
struct FileReading {
  Keep keep = Keep::kNothing;
  bool only_changed = false;      // store only blocks that differ from the parent's
  std::vector<ByteRange> ranges;  // ascending, disjoint; whole blocks, but for the file's end
  friend bool operator==(const FileReading&, const FileReading&) = default;
};
// parent_size_bytes: of the file of that path in the backup that is built on, if there is one.
FileReading how_to_read(const WalkedFile& file, BackupReading reading,
                        std::optional<std::uint64_t> parent_size_bytes,
                        const wal::ChangedBlocks& changed);

struct ReadingPlan {
  std::vector<CopyTask> tasks;      // large ones first
  std::vector<Keep> keep;           // by file
  std::vector<std::size_t> unread;  // files of which nothing is to be read
  std::uint64_t total_bytes = 0;    // to be read
};

// Fills in the sizes that the walked files had in the backup promised or built on.
Result<void> find_older_sizes(const IncarnationStore& store, const BackupManifest& older,
                              WalkedDirectory& walked);
ReadingPlan plan_reading(const WalkedDirectory& walked, const BackupBasis& basis);
// What a task of that plan reads, of its file. Thread-safe.
std::vector<ByteRange> ranges_of(const CopyTask& task, const WalkedFile& file,
                                 const BackupBasis& basis);

}  // namespace pitr
