// Reads backups: the catalog of published ones, and the contents of one in pack order.
// Thread-safe where nothing else is said.
#pragma once

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "repository/backup/backup_manifest.h"
#include "repository/backup/block_selection.h"
#include "repository/backup/file_table.h"
#include "repository/repository.h"

namespace pitr {

class BackupCatalog {
 public:
  explicit BackupCatalog(IncarnationStore store) : store_(std::move(store)) {}
  // Ids of published backups (those with a backup.json), oldest first.
  Result<std::vector<BackupId>> list() const;
  Result<BackupManifest> manifest(const BackupId& id) const;
  // All manifests, oldest first. An unreadable one is an error that names it.
  Result<std::vector<BackupManifest>> manifests() const;
  // Intents without backup.json: attempts under way or dead.
  Result<std::vector<BackupId>> unfinished() const;

 private:
  IncarnationStore store_;
};

// Names of the packs and tables that a manifest names.
void add_contents(const IncarnationStore& store, const BackupManifest& manifest,
                  std::set<std::string>& into);

// All files of a backup, in order of their paths. kCorrupt where they aren't as many, or as large,
// as the manifest says.
Result<std::vector<FileRow>> read_backup_files(const IncarnationStore& store,
                                               const BackupManifest& manifest);

// Whether the block map covers every block of every file, without reading any pack: kCorrupt names
// the first block without a place. Reads all tables; memory as for one file.
Result<void> check_block_map(const IncarnationStore& store, const BackupManifest& manifest);

// A piece of work for one restore thread: some adjacent frames of one pack, and where their blocks
// go. Bounded to about 1 MiB of plain bytes.
struct PackPiece {
  struct Placement {
    std::uint32_t file = 0;  // index into BackupContents::files()
    std::uint64_t file_offset = 0;
    std::uint64_t piece_offset = 0;
    std::uint64_t size_bytes = 0;
  };
  std::uint32_t pack = 0;  // index into the manifest's packs
  std::uint32_t first_frame = 0;
  std::uint32_t frame_count = 0;
  std::vector<Placement> placements;
};

using PackPieces = std::vector<PackPiece>;

// How many placements a restore has in memory at once: some 100 bytes each. More than that (a
// database of a TB after many scattered updates) is restored in several batches of packs, and the
// block tables are read once for each.
inline constexpr std::uint64_t kMostPlacements = 2'000'000;

// One backup, opened for a restore: files, and pieces in pack order, each frame decoded once.
// Checks that the block map covers every block of every file; kCorrupt names the first hole.
// Thread-safe.
class BackupContents {
 public:
  virtual ~BackupContents() = default;
  // only: pieces hold these blocks and no others, and no frame without one of them; null: all. It
  // must outlive the contents, and be made of the same backup's files.
  static Result<std::unique_ptr<BackupContents>> open(
      const IncarnationStore& store, const BackupManifest& manifest,
      const BlockSelection* only = nullptr, std::uint64_t most_placements = kMostPlacements);
  virtual const std::vector<FileRow>& files() const = 0;
  // Of a file, by its index: in all pieces together.
  virtual std::uint64_t wanted_bytes(std::uint32_t file) const = 0;
  // The work comes in batches, nearly always in one. Each is in memory while it is held.
  virtual std::size_t batch_count() const = 0;
  virtual Result<std::shared_ptr<const PackPieces>> batch(std::size_t number) const = 0;
  // The plain bytes of a piece; each caller with a buffer of its own.
  virtual Result<void> read(const PackPiece& piece, Bytes& into) const = 0;
  // A hint that the piece will be read soon.
  virtual void expect(const PackPiece& piece) const = 0;
  // The content of one small file, such as PG_VERSION; only of files that are there whole.
  virtual Result<Bytes> read_file(std::string_view path, std::uint64_t limit_bytes) const = 0;
};

// All pieces in order, in the caller's thread.
Result<void> for_each_piece(const BackupContents& contents,
                            const std::function<Result<void>(const PackPiece&)>& visit);

}  // namespace pitr
