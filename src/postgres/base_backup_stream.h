// BASE_BACKUP over the replication protocol, in both forms (13/14: one COPY per tablespace; 15+:
// one COPY of tagged messages), delivered to a sink as the same calls.
//
// Protocol: PostgreSQL src/backend/replication/basebackup_copy.c (15-18), basebackup.c (13/14).
// Runs in the caller's thread. Memory is bounded by one protocol message. A failure, or a sink's
// error, ends the backup; the connection must then be closed.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "common/bytes.h"
#include "common/result.h"
#include "postgres/lsn.h"
#include "postgres/replication.h"

namespace pitr {

enum class ManifestChecksums { kNone, kCrc32c, kSha224, kSha256, kSha384, kSha512 };

inline constexpr std::uint32_t kMostRateKib = 1048576;  // of MAX_RATE

struct BaseBackupOptions {
  std::string label = "pitr";
  bool fast_checkpoint = true;
  bool manifest = true;
  ManifestChecksums manifest_checksums = ManifestChecksums::kCrc32c;
  std::uint32_t max_rate_kib_per_second = 0;  // 0: unlimited; otherwise 32 to kMostRateKib
  bool tablespace_map = true;  // a tablespace_map file instead of links in the archive
  bool verify_checksums = true;
  bool progress = true;  // the server estimates sizes first
  bool wait_for_archive = false;
  bool include_wal = false;
  // 17+ (kInvalid before): of relations only what changed since the backup whose manifest was
  // uploaded on this connection; see incremental_file.h.
  bool incremental = false;
};

struct BackupTablespace {
  std::uint32_t oid = 0;                    // 0: the data directory itself
  std::string location;                     // empty for the data directory
  std::optional<std::uint64_t> size_bytes;  // estimate, with progress
};

struct BaseBackupStart {
  Lsn start;  // redo of the backup's checkpoint
  TimelineId timeline;
  std::vector<BackupTablespace> tablespaces;  // the data directory is the last
};

struct BaseBackupEnd {
  BaseBackupStart start;
  Lsn stop;
  TimelineId timeline;
  // The server found damaged pages: the backup is complete, but holds what is on disk. The
  // server's words; empty when all was well.
  std::string checksum_failure;
};

// Takes the backup as it arrives. An error stops the backup and is returned as it is.
class BaseBackupSink {
 public:
  virtual ~BaseBackupSink() = default;
  virtual Result<void> begin(const BaseBackupStart& start) = 0;
  // A tar archive (see tar_reader.h) begins; the previous one, if any, is complete.
  virtual Result<void> archive(const BackupTablespace& tablespace) = 0;
  virtual Result<void> data(ByteView bytes) = 0;  // of the current archive
  virtual Result<void> manifest_data(ByteView bytes) = 0;
  virtual void progress(std::uint64_t bytes_done) = 0;  // 15+ only
};

Result<BaseBackupEnd> run_base_backup(ReplicationConnection& connection,
                                      const BaseBackupOptions& options, BaseBackupSink& sink,
                                      std::stop_token stop = {});

// Calls `write` with the means to send the manifest of an earlier backup, for one that is
// incremental. 17+; errors of `write` leave a connection that can only be closed.
using SendManifest = std::function<Result<void>(ByteView bytes)>;
Result<void> upload_manifest(ReplicationConnection& connection,
                             const std::function<Result<void>(const SendManifest& send)>& write,
                             std::stop_token stop = {});

// The command's text for a server of this version; exposed for tests.
Result<std::string> base_backup_command(const BaseBackupOptions& options, int server_major);

}  // namespace pitr
