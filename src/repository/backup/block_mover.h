// Moves live blocks out of packs that are mostly dead, and out of frames that a restore would read
// for few of their bytes, by storing them again in packs of the new backup. Old backups keep their
// tables, so nothing changes for them.
//
// The order is: packs that are to be left, all of them; packs less than half live, deadest first;
// then the deadest frames while a restore reads more than 1.25 times what it writes. All but the
// first move at most as many bytes as changed since blocks were last moved. Only above 1.4 times
// more are moved, so that no restore ever reads 1.5 times what it writes.
//
// It reads the whole map up to three times, so it runs only when that is small against what changed
// (move_is_due). Memory: 12 bytes a frame of the packs in question, up to 4 million frames at a
// time (256 GiB), and 64 MiB of blocks. One thread.
#pragma once

#include <cstdint>
#include <vector>

#include "repository/backup/backup_manifest.h"
#include "repository/backup/backup_writer.h"
#include "repository/backup/own_rows.h"

namespace pitr {

// Of the manifest that is being made: with its parent's tables and packs, and its own packs.
bool move_is_due(const BackupManifest& manifest, const std::vector<ObjectKey>& leave_packs,
                 const MapOptions& options);

struct MoveResult {
  std::uint64_t moved_bytes = 0;
  std::uint64_t read_bytes = 0;  // that a restore reads, without those that were moved
};

// own: the backup's own rows, which lie over the manifest's tables. What is moved goes to `into`,
// which is left unfinished. kCorrupt: a block of a pack to be left can't be read; blocks of other
// packs stay where they are then.
Result<MoveResult> move_blocks(const IncarnationStore& store, const BackupManifest& manifest,
                               const EncodedRows& own, const FileRuns& files,
                               const std::vector<ObjectKey>& leave_packs, PackWriter& into);

}  // namespace pitr
