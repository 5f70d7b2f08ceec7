// Reads a table front to back, about a MiB of frames in memory at a time, and checks on the way
// that it is what its index says. Errors name the table's object. One thread at a time.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "repository/backup/digest_rows.h"
#include "repository/backup/table_index.h"
#include "repository/backup/table_rows.h"
#include "repository/sealed_object.h"

namespace pitr {

// The name of a table of this id; kInvalid where no table can be named so.
Result<ObjectKey> table_key(const IncarnationStore& store, const std::string& table_id);

// A table's object with its index checked against it; its const functions are thread-safe.
struct OpenTable {
  ObjectKey key;
  SealedReader object;
  TableIndex index;
};
Result<OpenTable> open_table(const IncarnationStore& store, ContainerKind kind,
                             const std::string& table_id);

template <typename Decoder>
class TableReader {
 public:
  static Result<std::unique_ptr<TableReader>> open(const IncarnationStore& store,
                                                   const std::string& table_id);
  const TableIndex& index() const { return table_.index; }

  // False at the end.
  Result<bool> next();
  const typename Decoder::Row& row() const { return decoder_->row(); }

 private:
  explicit TableReader(OpenTable table) : table_(std::move(table)) {}
  Result<bool> advance();
  Result<void> open_next_frame();
  Result<void> check_first_row();

  const OpenTable table_;
  std::uint64_t rows_read_ = 0;
  std::uint32_t next_frame_ = 0;
  Bytes plain_;  // of frames [plain_first_, plain_end_)
  std::uint32_t plain_first_ = 0;
  std::uint32_t plain_end_ = 0;
  std::optional<Decoder> decoder_;
  std::optional<typename Decoder::Row> last_row_;  // of the frame before
};

using FileTableReader = TableReader<FileRowDecoder>;
using BlockTableReader = TableReader<BlockRowDecoder>;
using DigestTableReader = TableReader<DigestRowDecoder>;
extern template class TableReader<FileRowDecoder>;
extern template class TableReader<BlockRowDecoder>;
extern template class TableReader<DigestRowDecoder>;

}  // namespace pitr
