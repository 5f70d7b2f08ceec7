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
  explicit DigestRuns(IncarnationStore store) : store_(std::move(store)) {}

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
  std::mutex mutex_;
  std::uint64_t bytes_ = 0;  // guarded; of taken_.runs
  Taken taken_;              // guarded
};

}  // namespace pitr
