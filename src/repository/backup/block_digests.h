// The digests of a backup's blocks: whether a block that was just read is the same as in the
// backup, without reading the backup's. Digest tables are layered like block tables.
//
// A backup of a pitr that wrote none has no digest tables: nothing is known of its blocks, so all
// count as changed. The same where the data key that keyed them is no longer in the keyring.
//
// One thread at a time; share() gives another thread its own, over the same opened tables. Memory:
// a key per 64 KiB of table (500 MiB of blocks), and a frame of each table, at most about twelve.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "codec/block_digest.h"
#include "repository/backup/backup_manifest.h"
#include "repository/backup/file_table.h"
#include "repository/repository.h"

namespace pitr {

class BlockDigests {
 public:
  static constexpr std::uint64_t kUnknown = 0;

  static Result<BlockDigests> open(const IncarnationStore& store, const BackupManifest& manifest);
  BlockDigests(BlockDigests&&) noexcept;
  BlockDigests& operator=(BlockDigests&&) noexcept;
  ~BlockDigests();
  BlockDigests share() const;

  // False: no digest is known of any block.
  bool any() const;
  // Makes digests that can be compared with those found here.
  const BlockHasher& hasher() const;

  // The digests of a file's blocks from first_block on, as many as `into` has room for; kUnknown
  // where there is none. Cheap in ascending order, possible in any.
  Result<void> find(const std::string& path, std::uint32_t first_block,
                    std::span<std::uint64_t> into);

 private:
  struct Tables;
  struct Cursor;
  explicit BlockDigests(std::shared_ptr<const Tables> tables);
  std::shared_ptr<const Tables> tables_;
  std::vector<Cursor> cursors_;  // one a table
};

// All files of a backup in order, with their blocks' digests: for comparing a whole directory.
class FileDigests {
 public:
  static Result<FileDigests> open(const IncarnationStore& store, const BackupManifest& manifest);
  FileDigests(FileDigests&&) noexcept;
  FileDigests& operator=(FileDigests&&) noexcept;
  ~FileDigests();

  // False at the end.
  Result<bool> next();
  const FileRow& file() const;
  // Of all blocks of the file; none for directories and links.
  std::span<const std::uint64_t> digests() const { return digests_; }

 private:
  struct Files;
  FileDigests(std::unique_ptr<Files> files, BlockDigests blocks);
  std::unique_ptr<Files> files_;
  BlockDigests blocks_;
  std::vector<std::uint64_t> digests_;
};

}  // namespace pitr
