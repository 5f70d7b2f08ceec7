// Writes the files of a backup with several threads: pieces in pack order, each decoded once, their
// blocks scattered to where they belong. Files have their size and mode before the first block is
// written. Where something is there already, it is adjusted: files get their size, mode and owner,
// and keep the blocks that the contents' pieces don't hold. Nothing is synced here. One restore per
// object.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <stop_token>

#include "common/observer.h"
#include "repository/backup/backup_reader.h"
#include "restore/files/file_owner.h"
#include "restore/files/work_shares.h"

namespace pitr {

enum class Existing : std::uint8_t {
  kNothing,  // files are made; one that is there is an error
  kAdjust,   // what is there stays, and gets the blocks
  kCompare,  // and of these only the ones that differ
};

class FileWriter {
 public:
  // is_wanted: rows that are written; all others are left out.
  FileWriter(const BackupContents& contents, Path data_directory, std::optional<FileOwner> owner,
             const std::function<bool(const FileRow&)>& is_wanted,
             Existing existing = Existing::kNothing);

  // Directories, links and empty files of the right size.
  Result<void> create_all(unsigned workers);
  Result<void> write_all(unsigned workers, Observer& observer, std::stop_token stop);

  std::uint64_t file_count() const { return file_count_; }
  std::uint64_t total_bytes() const { return total_bytes_; }
  std::uint64_t piece_bytes() const;  // of the contents' pieces that go into wanted files
  std::uint64_t written_bytes() const { return written_bytes_; }  // so far

 private:
  Result<void> create(const FileRow& row);
  Result<void> create_directory(const FileRow& row, const Path& path);
  Result<void> create_link(const FileRow& row, const Path& path);
  Result<void> create_file(const FileRow& row, const Path& path);
  Result<void> write_changed(File& file, ByteView bytes, std::uint64_t offset);
  Result<void> create_files(std::span<const std::size_t> numbers, WorkShares& shares,
                            unsigned worker);
  Result<void> write_pieces(const PackPieces& pieces, WorkShares& shares, unsigned worker,
                            Observer& observer, std::stop_token stop);
  Result<void> write_piece(const PackPiece& piece, ByteView bytes,
                           std::map<std::uint32_t, File>& open_files, Observer& observer);

  const BackupContents& contents_;
  const Path data_directory_;
  const std::optional<FileOwner> owner_;
  const Existing existing_;
  std::vector<bool> is_wanted_;  // by file
  std::atomic<std::uint64_t> written_bytes_ = 0;
  std::uint64_t file_count_ = 0;
  std::uint64_t total_bytes_ = 0;
};

}  // namespace pitr
