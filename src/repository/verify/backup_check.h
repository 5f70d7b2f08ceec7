// Reads a backup as a restore would: its block map must cover every block of every file within the
// packs, and each block must have the digest that the backup's digest tables say. Thread-safe.
#pragma once

#include <map>

#include "repository/backup/backup_reader.h"
#include "repository/verify/metered_source.h"

namespace pitr {

// Which frames of packs have been read and compared whole, so that backups which share packs don't
// read them again: what of a pack is which block of which file is the same for all of them. Memory:
// 4 bytes per 64 KiB of packs. Not thread-safe.
class ComparedFrames {
 public:
  bool has(const ObjectKey& pack, const PackPiece& piece) const;
  // A piece of which every block was compared: what one backup lacks of it, or has no digest for,
  // another one may have.
  void add(const ObjectKey& pack, const PackPiece& piece);

 private:
  std::map<ObjectKey, std::vector<bool>> packs_;
};

// kCorrupt names what is wrong. workers: threads.
Result<void> check_backup_blocks(const IncarnationStore& store, const BackupManifest& manifest,
                                 unsigned workers, ReadMeter& meter, ComparedFrames& compared);

}  // namespace pitr
