// A published backup, unpacked, with the stored WAL of its timeline in pg_wal, and a server on it
// that has replayed all of that WAL: what tests of backups ask for content. The real restore is
// tested by itself. Header only; not thread-safe.
#pragma once

#include "support/streamed_repository.h"
#include "support/test_cluster.h"
#include "support/unpacked_backup.h"

namespace pitr::test {

inline TestCluster start_restored(StreamedRepository& repository, const BackupManifest& manifest,
                                  const Path& directory) {
  unpack_backup(repository.store(), manifest, directory);
  const auto size = repository.archive().segment_size();
  auto number = size.number_of(manifest.start_lsn);
  while (true) {
    auto available = must(repository.archive().read_available({manifest.timeline, number}));
    if (available.bytes.empty()) break;
    available.bytes.resize(size.bytes());
    const auto name = segment_file_name({manifest.timeline, number}, size);
    must(write_file_durably(directory / "pg_wal" / name, available.bytes));
    ++number;
  }
  auto restored = must(TestCluster::adopt(directory));
  must(restored.start());
  return restored;
}

}  // namespace pitr::test
