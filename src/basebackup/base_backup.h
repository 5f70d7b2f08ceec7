// Takes one base backup and publishes it: files into packs, tables, manifest, and, once the WAL
// from start to stop is in the repository without a hole, backup.json. Until then nobody sees it.
//
// Two ways to read a database: local (the data directory is readable: several workers read files
// between the backup's start and stop) and remote (BASE_BACKUP over the replication protocol).
// Both give the same kind of backup. How much is read and stored is chosen (backup_choice.h): with
// an earlier backup to build on, locally only what changed is read; whatever is read in full is
// compared with that backup and stored where it differs.
//
// Blocks until done; the calling thread coordinates. Ends with kCancelled soon after a stop.
#pragma once

#include <memory>
#include <optional>
#include <stop_token>
#include <string>

#include "basebackup/backup_choice.h"
#include "common/clock.h"
#include "common/file.h"
#include "common/observer.h"
#include "repository/backup/backup_writer.h"
#include "repository/wal/facts_store.h"
#include "repository/wal/wal_archive.h"

namespace pitr {

struct BaseBackupRequest {
  std::string conninfo;
  // Set: read locally, after proving that it is the directory of the server connected to.
  std::optional<Path> data_directory;
  ReadRequest read = ReadRequest::kAuto;
  std::string label = "pitr";
  std::string host;  // of this program, for the record
  bool fast_checkpoint = true;
  bool verify_checksums = true;
  unsigned workers = 2;
  std::uint64_t max_rate_bytes_per_second = 0;  // of data read; 0: unlimited
  PackOptions pack;
  // One that takes longer fails: expire takes it for dead then.
  Microseconds good_for = kDefaultGrace;
  // Remote only: have the server send its backup_manifest and keep it as a file of the backup.
  bool keep_server_manifest = false;
  // How long to wait for the backup's WAL to arrive in the repository.
  Milliseconds wal_timeout{5 * 60 * 1000};
  // How long to wait at the start for the WAL that tells what changed, before everything is read.
  Milliseconds changes_timeout{60 * 1000};
};

// What is wrong with the backup that was nevertheless taken is in the manifest (checksum failures,
// blocks that changed without WAL) and was told to the observer.
Result<BackupManifest> take_base_backup(const IncarnationStore& store, const WalArchive& archive,
                                        const FactsStore& facts, const BaseBackupRequest& request,
                                        const Clock& clock, Observer& observer,
                                        std::stop_token stop);

}  // namespace pitr
