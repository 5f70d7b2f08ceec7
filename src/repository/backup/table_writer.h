// Writes a table: rows in ascending order, a frame of them in memory at a time, besides the index
// (a key per 64 KiB of rows). One thread at a time.
#pragma once

#include <memory>
#include <string>

#include "repository/backup/backup_manifest.h"
#include "repository/backup/digest_rows.h"
#include "repository/backup/table_index.h"
#include "repository/backup/table_rows.h"
#include "repository/sealed_object.h"

namespace pitr {

template <typename Encoder, typename Row>
class TableWriter {
 public:
  static Result<std::unique_ptr<TableWriter>> create(const IncarnationStore& store);

  // kInvalid: a row that can't be, or out of order.
  Result<void> add(const Row& row);
  // The dictionary that the rows' packs count in. Durable on return; gives the table's id.
  Result<std::string> finish(std::vector<PackRef> packs);
  TableInfo info() const { return {id_, upload_.stored_size_bytes()}; }
  std::uint64_t stored_size_bytes() const { return upload_.stored_size_bytes(); }

 private:
  TableWriter(std::string id, SealedUpload upload)
      : id_(std::move(id)), upload_(std::move(upload)) {}
  Result<void> write_frame();

  std::string id_;
  SealedUpload upload_;
  Encoder encoder_;
  TableIndex index_;
  Row last_row_;
};

using PackedFileTableWriter = TableWriter<FileRowEncoder, FileRow>;
using PackedBlockTableWriter = TableWriter<BlockRowEncoder, PackedBlockRow>;
using DigestTableWriter = TableWriter<DigestRowEncoder, DigestRow>;
extern template class TableWriter<FileRowEncoder, FileRow>;
extern template class TableWriter<BlockRowEncoder, PackedBlockRow>;
extern template class TableWriter<DigestRowEncoder, DigestRow>;

}  // namespace pitr
