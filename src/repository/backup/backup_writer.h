// Writes one backup: intent first, then packs, then tables, then the manifest, and backup.json last
// of all: without it the backup doesn't exist. A writer that is destroyed unpublished leaves an
// intent and packs, which are invisible and which expire collects.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "codec/compression.h"
#include "common/observer.h"
#include "repository/backup/backup_manifest.h"
#include "repository/backup/file_table.h"
#include "repository/repository.h"

namespace pitr {

struct BackupIntent {
  BackupId id;
  std::string host;
  Timestamp started;
  Lsn start_lsn;
  std::optional<BackupId> parent;
};

inline constexpr std::int64_t kIntentFormat = 1;  // written, and the newest that is read
Bytes encode_intent(const BackupIntent& intent);
Result<BackupIntent> decode_intent(ByteView bytes);

// Puts file contents into packs; one per worker thread. Compresses and seals on the caller's
// thread. Pieces of at least one frame (64 KiB) start a frame of their own; small files share one.
class PackWriter {
 public:
  virtual ~PackWriter() = default;
  // bytes: whole blocks, apart from the end of the file. first_block counts from the file's start.
  virtual Result<void> add(const std::string& path, std::uint32_t first_block, ByteView bytes) = 0;
  // Seals and stores what is pending. Must be called before BackupWriter::publish().
  virtual Result<void> finish() = 0;
};

struct PackOptions {
  Compression compression = Compression::kLz4;
  int level = 0;
  std::uint64_t pack_size_bytes = 512ull << 20;
};

class BackupWriter {
 public:
  virtual ~BackupWriter() = default;
  // Stores the intent durably before it returns.
  static Result<std::unique_ptr<BackupWriter>> start(const IncarnationStore& store,
                                                     const BackupIntent& intent,
                                                     const PackOptions& options);

  // Thread-safe.
  virtual Result<std::unique_ptr<PackWriter>> new_pack_writer() = 0;
  virtual void add_file(FileRow row) = 0;

  // Fills in tables, packs and sizes of the manifest, and stores tables and manifest, which stay
  // invisible.
  virtual Result<BackupManifest> store_manifest(BackupManifest manifest) = 0;
  // Stores backup.json. The caller has made sure that the WAL from start to stop is in the
  // repository.
  virtual Result<void> publish(const BackupManifest& manifest) = 0;
};

}  // namespace pitr
