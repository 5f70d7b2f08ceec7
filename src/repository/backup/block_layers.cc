#include "repository/backup/block_layers.h"

#include <fmt/format.h>

#include "repository/backup/table_reader.h"

namespace pitr {

namespace {
class TableLayer final : public BlockRowSource {
 public:
  TableLayer(std::unique_ptr<BlockTableReader> table, std::vector<std::uint32_t> pack_numbers)
      : table_(std::move(table)), pack_numbers_(std::move(pack_numbers)) {}
  Result<bool> next() override {
    const bool found = TRY(table_->next());
    if (!found) return false;
    row_ = table_->row();
    if (!is_tombstone(row_)) row_.pack = pack_numbers_[row_.pack];
    return true;
  }
  const PackedBlockRow& row() const override { return row_; }

 private:
  std::unique_ptr<BlockTableReader> table_;
  std::vector<std::uint32_t> pack_numbers_;
  PackedBlockRow row_;
};
}  // namespace

Result<PackNumbers> PackNumbers::of(const std::vector<PackInfo>& packs) {
  PackNumbers numbers;
  for (const auto& pack : packs) {
    const auto next = static_cast<std::uint32_t>(numbers.numbers_.size());
    const bool is_new = numbers.numbers_.emplace(pack.key, next).second;
    if (!is_new) return Error::corrupt("the manifest has pack " + pack.key.text() + " twice");
  }
  return numbers;
}

Result<std::uint32_t> PackNumbers::find(const ObjectKey& pack, const std::string& table_id) const {
  const auto found = numbers_.find(pack);
  if (found != numbers_.end()) return found->second;
  return Error::corrupt(fmt::format("table {} refers to pack {}, which the manifest doesn't have",
                                    table_id, pack.text()));
}

static Result<std::vector<std::uint32_t>> numbers_of(const IncarnationStore& store,
                                                     const TableIndex& index,
                                                     const std::string& table_id,
                                                     const PackNumbers& numbers) {
  std::vector<std::uint32_t> found;
  for (const auto& pack : index.packs) {
    const auto number = TRY(numbers.find(store.names().pack(pack.backup, pack.number), table_id));
    found.push_back(number);
  }
  return found;
}

Result<std::unique_ptr<BlockRowSource>> open_block_layer(const IncarnationStore& store,
                                                         const std::string& table_id,
                                                         const PackNumbers& numbers) {
  auto table = TRY(BlockTableReader::open(store, table_id));
  auto packs = TRY(numbers_of(store, table->index(), table_id, numbers));
  return std::make_unique<TableLayer>(std::move(table), std::move(packs));
}

Result<std::vector<std::unique_ptr<BlockRowSource>>> open_block_layers(
    const IncarnationStore& store, const std::vector<TableInfo>& tables,
    const PackNumbers& numbers) {
  std::vector<std::unique_ptr<BlockRowSource>> layers;
  for (const auto& table : tables) {
    auto layer = TRY(open_block_layer(store, table.id, numbers));
    layers.push_back(std::move(layer));
  }
  return layers;
}

Result<std::vector<std::uint32_t>> packs_of_table(const IncarnationStore& store,
                                                  const std::string& table_id,
                                                  const PackNumbers& numbers) {
  const auto table = TRY(open_table(store, ContainerKind::kBlockTable, table_id));
  return numbers_of(store, table.index, table_id, numbers);
}

}  // namespace pitr
