// What one backup says of its own: its files, and the block rows and tombstones that make the
// parent's map its map. Made by one pass over the files of both, without reading any block table:
// that the parent covers its files was checked when it was published, so only what differs from it
// has to be checked here.
//
// Not thread-safe. Memory: rows stay encoded, some 20 bytes each.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "repository/backup/backup_writer.h"
#include "repository/backup/encoded_rows.h"
#include "repository/backup/table_reader.h"
#include "repository/backup/table_writer.h"

namespace pitr {

// The files of a backup in memory, in the order in which they were added.
class FileRuns {
 public:
  void add(FileRow row, Keep keep);
  // Nothing may be added afterwards. kInvalid, kInternal: a file that can't be, or came twice.
  Result<void> finish();

  // The files in order.
  class Cursor {
   public:
    static Result<Cursor> open(const FileRuns& files);
    Result<bool> next() { return merge_.next(); }
    const FileRow& file() const { return merge_.row(); }
    Keep keep() const { return files_->keeps_[merge_.run()]; }

   private:
    Cursor(const FileRuns& files, RunMerge<FileRowDecoder> merge)
        : files_(&files), merge_(std::move(merge)) {}
    const FileRuns* files_;
    RunMerge<FileRowDecoder> merge_;
  };

 private:
  void encode(Keep keep);

  std::vector<FileRow> waiting_[2];  // by Keep
  std::vector<EncodedRows> runs_;
  std::vector<Keep> keeps_;  // of the runs
  std::optional<Error> bad_file_;
};

struct OwnRows {
  EncodedRows blocks;             // with tombstones; packs as in pack_rows
  EncodedRows digest_tombstones;  // for the same blocks
  TableInfo file_table;
  std::uint64_t file_count = 0;
  std::uint64_t total_bytes = 0;
};

// pack_rows: what was stored, as runs. parent_files: null without a parent. kInternal: a block of a
// file has no place, or two.
Result<OwnRows> make_own_rows(const IncarnationStore& store, const FileRuns& files,
                              const std::vector<EncodedRows>& pack_rows, std::uint32_t first_pack,
                              FileTableReader* parent_files);

// `rows`, of packs first_pack and following, among others that hold other blocks.
Result<EncodedRows> add_rows(EncodedRows others, const std::vector<EncodedRows>& rows,
                             std::uint32_t first_pack);

}  // namespace pitr
