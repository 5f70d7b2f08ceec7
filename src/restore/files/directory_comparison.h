// Finds out which blocks of a directory have to be written to make it a backup: by the blocks'
// digests, or, for main forks, by what WAL says has changed. Reads only; a restore writes what is
// found, and a dry run shows it.
//
// By facts is right only where choose_rewrite_mode() says so. Whatever isn't a main fork is always
// compared; so are main forks where no facts are given. A backup without digests: everything is
// wanted, and the writing compares (must_compare_bytes).
#pragma once

#include <cstdint>
#include <functional>
#include <stop_token>
#include <vector>

#include "common/observer.h"
#include "postgres/wal/changed_blocks.h"
#include "repository/backup/backup_manifest.h"
#include "repository/backup/block_selection.h"
#include "restore/files/directory_inventory.h"

namespace pitr {

struct DirectoryComparison {
  std::vector<FileRow> files;  // of the backup
  DirectoryInventory inventory;
  BlockSelection wanted;
  bool must_compare_bytes = false;
  std::uint64_t wanted_blocks = 0;
  std::uint64_t wanted_bytes = 0;
  std::uint64_t compared_bytes = 0;  // read of the directory
  std::uint64_t missing_files = 0;   // of the backup, in the directory
};

// What is read of a directory. After an interrupted rewrite the cache may hold what was never
// written; after one whose writes failed, nothing that is read tells what is on the disk.
enum class Trust { kCache, kDisk, kNothing };

struct ComparisonRequest {
  InventoryRequest places;
  unsigned workers = 2;
  Trust trust = Trust::kCache;
  const wal::ChangedBlocks* changed = nullptr;  // since the backup's redo; null: by digest
};

Result<DirectoryComparison> compare_directory(const IncarnationStore& store,
                                              const BackupManifest& backup,
                                              const ComparisonRequest& request, Observer& observer,
                                              std::stop_token stop = {});

}  // namespace pitr
