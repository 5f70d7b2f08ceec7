// Writes a backup into a data directory that recovery can start from.
//
// Order, each step durable before the next: marker, files (several threads, in pack order, every
// frame decoded once), backup_label and tablespace_map, recovery settings, recovery.signal, one
// syncfs per file system, and pg_control last: killed at any moment before, nothing can start
// there, the marker says what it is, and running it again with replacing allowed starts afresh.
//
// A rewrite keeps what is there and right. Its order: journal; pg_control moved away; what doesn't
// belong deleted; every file's size set and the wanted blocks written; then as above. Killed
// anywhere, it can be run again: what is left to do is found by comparing.
// Success means durable. Borrows the store; one restore per object and thread.
#pragma once

#include <stop_token>
#include <string>
#include <vector>

#include "common/observer.h"
#include "repository/backup/backup_reader.h"
#include "restore/files/directory_comparison.h"
#include "restore/files/file_owner.h"
#include "restore/files/in_place_journal.h"
#include "restore/files/target_directory.h"
#include "restore/plan/plan.h"
#include "restore/recovery/recovery_settings.h"

namespace pitr {

struct Rewrite {
  DirectoryComparison comparison;  // of the directory as it is now
  InPlaceJournal journal;
  ControlBytes control;  // from before the directory was looked at
};

struct RestoreOptions {
  Path data_directory;
  std::vector<TablespacePlace> tablespaces;  // of place_tablespaces()
  bool replace = false;                      // clear what is there
  const Rewrite* rewrite = nullptr;          // or keep of it what is right
  unsigned workers = 2;
  std::optional<FileOwner> owner;
  RecoveryAction action = RecoveryAction::kPromote;
  bool keep_archive_mode = false;
  Path wal_get_program;
};

struct RestoreSummary {
  std::uint64_t files = 0;
  std::uint64_t bytes = 0;
  std::uint64_t written_bytes = 0;  // of files; less than `bytes` where much was there already
  std::uint64_t removed = 0;        // files, links and directories that didn't belong
  std::vector<std::string> missing_configuration;  // "postgresql.conf", kept elsewhere (Debian)
};

Result<RestoreSummary> restore_files(const IncarnationStore& store, const BackupManifest& backup,
                                     const RecoveryPlan& recovery, const RestoreOptions& options,
                                     Observer& observer, std::stop_token stop = {});

}  // namespace pitr
