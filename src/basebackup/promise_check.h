// Holds what is read against what the WAL promises: a block that no WAL since an older backup names
// must be the same as there. One that is not was written by way of nothing: by a fault of the disk,
// of the server, or of the facts, which would then lack it in every backup that reads by them.
//
// Only for relations' main forks, and only where hint bits are logged (BackupBasis::all_is_logged).
#pragma once

#include <atomic>
#include <mutex>
#include <vector>

#include "basebackup/directory_walk.h"
#include "postgres/wal/changed_blocks.h"
#include "repository/backup/block_digests.h"

namespace pitr {

struct BrokenPromise {
  wal::RelationId relation;
  std::uint32_t block_in_fork = 0;
  UnexplainedBlock place;
};

// Of all threads. Thread-safe.
class PromiseFindings {
 public:
  static constexpr std::size_t kMostKept = 100'000;

  void add(BrokenPromise broken);
  void add_checked(std::uint64_t blocks) { checked_blocks_ += blocks; }
  std::uint64_t checked_blocks() const { return checked_blocks_; }
  // No more than kMostKept; so many more were found.
  std::vector<BrokenPromise> take();
  std::uint64_t not_kept() const;

 private:
  std::atomic<std::uint64_t> checked_blocks_ = 0;
  mutable std::mutex mutex_;
  std::vector<BrokenPromise> broken_;
  std::uint64_t not_kept_ = 0;
};

// One per thread.
class PromiseChecker {
 public:
  // Pages with an LSN at or behind `start` changed after the range of `changed`.
  PromiseChecker(BlockDigests older, const wal::ChangedBlocks& changed, Lsn start,
                 PromiseFindings& findings)
      : older_(std::move(older)), changed_(changed), start_(start), findings_(findings) {}

  // bytes: as they were read from the file, from first_block on.
  Result<void> check(const WalkedFile& file, std::uint32_t first_block, ByteView bytes);

 private:
  bool is_explained(const wal::RelationId& relation, std::uint32_t block, ByteView page) const;

  BlockDigests older_;
  const wal::ChangedBlocks& changed_;
  const Lsn start_;
  PromiseFindings& findings_;
  std::vector<std::uint64_t> digests_;
};

}  // namespace pitr
