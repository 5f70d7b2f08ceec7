// Encoded runs in memory as one layer of rows. The runs must outlive it.
#pragma once

#include <utility>

#include "repository/backup/encoded_rows.h"
#include "repository/backup/layer_merge.h"

namespace pitr {

template <typename Decoder>
class MemoryLayer final : public RowSource<typename Decoder::Row> {
 public:
  explicit MemoryLayer(RunMerge<Decoder> rows) : rows_(std::move(rows)) {}
  Result<bool> next() override { return rows_.next(); }
  const typename Decoder::Row& row() const override { return rows_.row(); }

 private:
  RunMerge<Decoder> rows_;
};

}  // namespace pitr
