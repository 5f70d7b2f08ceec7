// The digests that one backup's pack writers make, until its digest table is written: in memory up
// to a bound, beyond it in tables of their own, which hold different blocks each. Thread-safe.
#pragma once

#include <mutex>
#include <vector>

#include "repository/backup/backup_manifest.h"
#include "repository/backup/encoded_rows.h"
#include "repository/repository.h"

namespace pitr {

class DigestRuns {
 public:
  static constexpr std::uint64_t kMemoryBytes = 32 << 20;  // of 32 GiB of blocks

  explicit DigestRuns(IncarnationStore store, std::uint64_t memory_bytes = kMemoryBytes)
      : store_(std::move(store)), memory_bytes_(memory_bytes) {}

  // May write a table. kInternal: a block was added twice.
  Result<void> add(EncodedRows run);

  struct Taken {
    std::vector<EncodedRows> runs;
    std::vector<TableInfo> tables;
  };
  // Nothing may be added any more.
  Taken take();

 private:
  const IncarnationStore store_;
  const std::uint64_t memory_bytes_;
  std::mutex mutex_;
  std::uint64_t bytes_ = 0;  // guarded; of taken_.runs
  Taken taken_;              // guarded
};

}  // namespace pitr
