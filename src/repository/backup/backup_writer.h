// Writes one backup: intent first, then packs, then tables, then the manifest, and backup.json last
// of all: without it the backup doesn't exist. A writer that is destroyed unpublished leaves an
// intent and packs, which are invisible and which expire collects.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "codec/compression.h"
#include "common/observer.h"
#include "repository/backup/backup_manifest.h"
#include "repository/backup/file_table.h"
#include "repository/expire/trash.h"
#include "repository/repository.h"

namespace pitr {

struct BackupIntent {
  BackupId id;
  std::string host;
  Timestamp started;
  Lsn start_lsn;
  std::optional<BackupId> parent;
  // Published in so long or never: what it builds on and what it stored is safe until then.
  Microseconds good_for = kDefaultGrace;
};

inline constexpr std::int64_t kIntentFormat = 1;  // written, and the newest that is read
Bytes encode_intent(const BackupIntent& intent);
Result<BackupIntent> decode_intent(ByteView bytes);

// The backup that an incremental one builds on: of the same incarnation, and published.
struct ParentBackup {
  BackupManifest manifest;
  // Packs that verification found damaged: no block stays there. Ask blocks_in_packs() which blocks
  // those are, and store them afresh; what isn't is taken from the pack, which fails where it can't
  // be read.
  std::vector<ObjectKey> leave_packs;
};

// Visits the runs of blocks of a backup that lie in these packs, in order of files.
using BlockRunVisitor = std::function<Result<void>(const std::string& path,
                                                   std::uint32_t first_block, std::uint32_t count)>;
Result<void> blocks_in_packs(const IncarnationStore& store, const BackupManifest& manifest,
                             const std::vector<ObjectKey>& packs, const BlockRunVisitor& visit);

// What a file of the new backup has of the parent's file of the same path.
enum class Keep : std::uint8_t {
  kNothing,  // all of it is stored afresh; whatever was there before is hidden
  kRest,     // each block that isn't stored afresh stays as it was; those from the new size on go
};

// Puts file contents into packs; one per worker thread. Compresses and seals on the caller's
// thread. Pieces of at least one frame (64 KiB) start a frame of their own; small pieces share one.
// No block may be added twice.
class PackWriter {
 public:
  virtual ~PackWriter() = default;
  // bytes: whole blocks, apart from the end of the file. first_block counts from the file's start.
  virtual Result<void> add(const std::string& path, std::uint32_t first_block, ByteView bytes) = 0;
  // For blocks of which nobody knows whether they changed, of a file that is added with
  // Keep::kRest: stores those whose digest differs from the parent's, and those of which the parent
  // has none (because they are new, or because there is no parent, or one without digest tables).
  // Gives the bytes that were stored.
  virtual Result<std::uint64_t> add_if_changed(const std::string& path, std::uint32_t first_block,
                                               ByteView bytes) = 0;
  // Seals and stores what is pending. Must be called before BackupWriter::publish().
  virtual Result<void> finish() = 0;
};

// How much is written of the block map to keep it short.
struct MapOptions {
  // A smaller table counts as one of this size: it costs an object and requests anyway.
  std::uint64_t least_table_bytes = 4 << 10;
  // Blocks are moved when so many bytes were stored per byte of tables, because that reads them
  // all.
  std::uint64_t changed_per_table_byte = 32;
};

struct PackOptions {
  Compression compression = Compression::kLz4;
  int level = 0;
  std::uint64_t pack_size_bytes = 512ull << 20;
  MapOptions map;
};

class BackupWriter {
 public:
  virtual ~BackupWriter() = default;
  // Stores the intent durably before it returns. The intent names the parent if there is one;
  // kConflict where expire drops that just now. The clock tells how long the backup takes.
  static Result<std::unique_ptr<BackupWriter>> start(
      const IncarnationStore& store, const BackupIntent& intent, const PackOptions& options,
      std::optional<ParentBackup> parent = std::nullopt,
      const Clock& clock = SystemClock::shared());

  // Thread-safe. All files of the backup are added, whether anything of them is stored or not; the
  // parent's other files are gone.
  virtual Result<std::unique_ptr<PackWriter>> new_pack_writer() = 0;
  virtual void add_file(FileRow row, Keep keep = Keep::kNothing) = 0;

  // Fills in parent, tables, packs and sizes of the manifest, and stores tables and manifest, which
  // stay invisible. Blocks that lie in mostly dead packs may be moved before. kInternal: the
  // backup isn't whole (a block of a file has no place).
  virtual Result<BackupManifest> store_manifest(BackupManifest manifest) = 0;
  // Stores backup.json. The caller has made sure that the WAL from start to stop is in the
  // repository. kConflict where the intent isn't good any more, or what the backup refers to is
  // being deleted; then it stays invisible.
  virtual Result<void> publish(const BackupManifest& manifest) = 0;
};

}  // namespace pitr
