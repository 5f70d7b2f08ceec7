// What a backup is: the sealed root from which a restore finds everything, and its summary for
// people (backup.json). Plain values; no thread-safety needed.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/clock.h"
#include "postgres/lsn.h"
#include "repository/layout.h"

namespace pitr {

enum class BackupMethod { kLocal, kRemote };

// How a backup came by its blocks.
enum class BackupReading : std::uint8_t {
  kEverything,     // all was read and stored; nothing is taken from another backup
  kCompared,       // all was read; blocks that differ from the parent's were stored
  kChangedBlocks,  // of relations only what the WAL since the parent names was read
};

struct TablespaceInfo {
  std::uint32_t oid = 0;
  std::string location;  // absolute path of the symlink's target; empty: in place
};

struct ChecksumFailure {
  std::string path;
  std::uint32_t block = 0;  // in the file
};

// A block that is not as the WAL says that it has to be.
struct UnexplainedBlock {
  std::string path;
  std::uint32_t block = 0;  // in the file
};

// What a backup that read everything found where the WAL since another one says that nothing
// changed: blocks that differ there from that backup's were not written by way of the WAL.
struct PromiseCheck {
  std::optional<BackupId> against;       // none: nothing was compared
  std::uint64_t checked_blocks = 0;      // that had to be the same
  std::uint64_t unexplained_count = 0;   // of them are not
  std::vector<UnexplainedBlock> blocks;  // capped
};

struct PackInfo {
  ObjectKey key;
  std::uint64_t stored_bytes = 0;
  std::uint64_t plain_bytes = 0;
  // Of the plain bytes, at most so many belong to this backup. Counted when tables were last merged
  // into the oldest one, and since then only lowered.
  std::uint64_t live_bytes = 0;
};

struct TableInfo {
  std::string id;
  std::uint64_t stored_bytes = 0;
  friend bool operator==(const TableInfo&, const TableInfo&) = default;
};

struct BackupManifest {
  explicit BackupManifest(BackupId backup) : id(std::move(backup)) {}

  BackupId id;
  IncarnationId incarnation;
  BackupMethod method = BackupMethod::kLocal;
  std::string label;
  std::string host;
  std::optional<BackupId> parent;
  BackupReading reading = BackupReading::kEverything;
  std::string reading_reason;  // for people
  PromiseCheck promise;
  std::uint32_t server_version_num = 0;
  std::uint64_t segment_size_bytes = 0;
  std::uint32_t catalog_version = 0;

  TimelineId timeline;
  Lsn start_lsn;  // the start checkpoint's redo
  Lsn stop_lsn;   // consistent from here on
  Lsn checkpoint_lsn;
  Timestamp start_time;  // the server's clock
  Timestamp stop_time;
  bool from_standby = false;
  std::uint32_t data_checksum_version = 0;
  bool wal_log_hints = false;

  std::string backup_label;    // verbatim, but for the lines INCREMENTAL FROM
  std::string tablespace_map;  // verbatim; empty without tablespaces
  std::vector<TablespaceInfo> tablespaces;

  std::string file_table;                // table id
  std::vector<TableInfo> block_tables;   // newest first
  std::vector<PackInfo> packs;           // all that the block tables refer to
  std::vector<TableInfo> digest_tables;  // newest first; may be none (BlockDigests)
  std::uint32_t digest_epoch = 0;        // of the data key that keys the digests; 0: no cipher

  // At most so many plain bytes does a restore read: the sum of all frames with a live block, when
  // they were last counted, and what was stored since.
  std::uint64_t restore_read_bytes = 0;
  // Stored afresh since blocks were last moved out of packs that are mostly dead.
  std::uint64_t changed_since_moved_bytes = 0;

  std::uint64_t file_count = 0;    // regular files only
  std::uint64_t total_bytes = 0;   // what a restore writes
  std::uint64_t read_bytes = 0;    // what this backup read
  std::uint64_t stored_bytes = 0;  // what this backup added to the repository
  std::vector<ChecksumFailure> checksum_failures;
  std::uint64_t checksum_failure_count = 0;  // the list above is capped
};

inline constexpr std::int64_t kManifestFormat = 2;  // written, and the newest that is read

std::string_view to_string(BackupReading reading);  // "everything", "compared", "changed blocks"

Bytes encode_manifest(const BackupManifest& manifest);
// kCorrupt names the field; kInvalid: a newer format.
Result<BackupManifest> decode_manifest(ByteView bytes);
// backup.json: readable without a key, so it holds nothing that the cipher protects.
std::string to_backup_json(const BackupManifest& manifest);

}  // namespace pitr
