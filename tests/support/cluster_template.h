// Fresh data directories, quickly: initdb runs once per set of options, its result is copied, and
// every copy gets a system identifier of its own.
//
// The results are kept below PITR_TEST_TEMPLATES (scripts/as_test_user.sh sets it, since CTest runs
// each test in a process of its own), else for this process only. Safe among threads and processes.
#pragma once

#include "common/file.h"
#include "common/result.h"
#include "support/server_binaries.h"

namespace pitr::test {

struct InitdbOptions {
  int wal_segment_size_mb = 16;
  bool data_checksums = true;
};

Result<void> make_data_directory(const ServerBinaries& binaries, const InitdbOptions& options,
                                 const Path& to);

// Changes pg_control and the WAL segments' headers of a cleanly stopped cluster.
Result<void> set_system_identifier(const Path& data_directory, std::uint64_t system_identifier);

}  // namespace pitr::test
