#include "repository/backup/table_tiers.h"

#include <algorithm>
#include <numeric>

#include "repository/backup/block_layers.h"
#include "repository/backup/memory_layer.h"
#include "repository/backup/table_writer.h"

namespace pitr {

// A table stays as it is while it is larger than this times all newer ones together.
static constexpr std::uint64_t kTierRatio = 2;
// Of a container around the rows, and of the index.
static constexpr std::uint64_t kTableOverhead = 512;

std::size_t tables_to_merge(std::uint64_t new_bytes, std::span<const TableInfo> older,
                            const MapOptions& options) {
  const auto size_of = [&](std::uint64_t bytes) {
    return std::max(bytes, options.least_table_bytes);
  };
  std::uint64_t merged = size_of(new_bytes);
  std::size_t count = 0;
  while (count < older.size()) {
    const auto size = size_of(older[count].stored_bytes);
    const bool too_many = older.size() - count >= kMostLayers;
    if (size > kTierRatio * merged && !too_many) break;
    merged += size;
    ++count;
  }
  return count;
}

namespace {

class DigestTableLayer final : public RowSource<DigestRow> {
 public:
  explicit DigestTableLayer(std::unique_ptr<DigestTableReader> table) : table_(std::move(table)) {}
  Result<bool> next() override { return table_->next(); }
  const DigestRow& row() const override { return table_->row(); }

 private:
  std::unique_ptr<DigestTableReader> table_;
};

// A block table that is being written: its dictionary has the packs in the order of their first
// use, and what each of them has of it is counted.
class CountingTable {
 public:
  CountingTable(std::unique_ptr<PackedBlockTableWriter> table, std::size_t packs)
      : table_(std::move(table)), numbers_(packs, kUnused), live_bytes_(packs) {}

  Result<void> add(PackedBlockRow row) {
    if (!is_tombstone(row)) {
      auto& number = numbers_[row.pack];
      if (number == kUnused) {
        number = static_cast<std::uint32_t>(used_.size());
        used_.push_back(row.pack);
      }
      live_bytes_[row.pack] += row.size_bytes();
      row.pack = number;
    }
    is_empty_ = false;
    return table_->add(row);
  }
  // None where there was no row.
  Result<std::optional<TableInfo>> finish(const std::vector<PackInfo>& packs) {
    if (is_empty_) return std::nullopt;
    std::vector<PackRef> refs;
    for (const auto number : used_) {
      const auto& name = packs[number].key.text();
      auto ref = TRY(parse_pack_name(std::string_view(name).substr(name.rfind('/') + 1)));
      refs.push_back(std::move(ref));
    }
    TRY(table_->finish(std::move(refs)));
    return table_->info();
  }
  const std::vector<std::uint32_t>& used() const { return used_; }
  const std::vector<std::uint64_t>& live_bytes() const { return live_bytes_; }

 private:
  static constexpr std::uint32_t kUnused = 0xFFFF'FFFF;
  std::unique_ptr<PackedBlockTableWriter> table_;
  std::vector<std::uint32_t> numbers_;  // in the table's dictionary
  std::vector<std::uint32_t> used_;
  std::vector<std::uint64_t> live_bytes_;
  bool is_empty_ = true;
};

Result<void> merge_some(std::vector<std::unique_ptr<BlockRowSource>> layers, CountingTable& into) {
  auto merge = TRY(LayerMerge<PackedBlockRow>::open(std::move(layers)));
  while (const std::string* next = merge.next_path()) {
    const std::string path = *next;
    auto rows = TRY(merge.take(path));
    join_rows(rows);
    for (auto& row : rows) TRY(into.add(std::move(row)));
  }
  return {};
}

Result<void> merge_everything(std::vector<std::unique_ptr<BlockRowSource>> layers,
                              const FileRuns& files, CountingTable& into) {
  auto map = TRY(BlockMap::open(std::move(layers)));
  auto cursor = TRY(FileRuns::Cursor::open(files));
  while (true) {
    const bool found = TRY(cursor.next());
    if (!found) break;
    auto rows = TRY(map.rows_of(cursor.file()));
    join_rows(rows);
    for (auto& row : rows) TRY(into.add(std::move(row)));
  }
  return map.finish();
}

// Keeps the packs that the tables refer to.
Result<void> forget_unused_packs(const IncarnationStore& store, const CountingTable& newest,
                                 std::span<const TableInfo> others, const PackNumbers& numbers,
                                 std::vector<PackInfo>& packs) {
  std::vector<bool> used(packs.size());
  for (const auto number : newest.used()) used[number] = true;
  for (const auto& table : others) {
    const auto found = TRY(packs_of_table(store, table.id, numbers));
    for (const auto number : found) used[number] = true;
  }
  std::size_t kept = 0;
  for (std::size_t i = 0; i < packs.size(); ++i) {
    if (!used[i]) continue;
    if (kept != i) packs[kept] = std::move(packs[i]);
    ++kept;
  }
  packs.erase(packs.begin() + static_cast<std::ptrdiff_t>(kept), packs.end());
  return {};
}

}  // namespace

Result<BlockStack> stack_block_tables(const IncarnationStore& store, const EncodedRows& own,
                                      const FileRuns& files, std::vector<TableInfo> older,
                                      std::vector<PackInfo> packs, const MapOptions& options,
                                      bool merge_all) {
  if (own.empty() && !merge_all) return BlockStack{std::move(older), std::move(packs)};
  const auto merged =
      merge_all ? older.size() : tables_to_merge(size_bytes(own) + kTableOverhead, older, options);
  const bool is_oldest = merged == older.size();
  const auto numbers = TRY(PackNumbers::of(packs));

  std::vector<std::unique_ptr<BlockRowSource>> layers;
  const std::vector<EncodedRows> own_runs{own};
  auto own_rows = TRY(RunMerge<BlockRowDecoder>::open(own_runs));
  layers.push_back(std::make_unique<MemoryLayer<BlockRowDecoder>>(std::move(own_rows)));
  for (const auto& table : std::span(older).first(merged)) {
    auto layer = TRY(open_block_layer(store, table.id, numbers));
    layers.push_back(std::move(layer));
  }
  auto writer = TRY(PackedBlockTableWriter::create(store));
  CountingTable table(std::move(writer), packs.size());
  TRY(is_oldest ? merge_everything(std::move(layers), files, table)
                : merge_some(std::move(layers), table));
  const auto info = TRY(table.finish(packs));

  BlockStack stack;
  stack.counted = is_oldest;
  if (is_oldest) {
    for (std::size_t i = 0; i < packs.size(); ++i) packs[i].live_bytes = table.live_bytes()[i];
  }
  older.erase(older.begin(), older.begin() + static_cast<std::ptrdiff_t>(merged));
  if (merged > 0) TRY(forget_unused_packs(store, table, older, numbers, packs));
  if (info) {
    stack.tables.push_back(*info);
    stack.written_bytes = info->stored_bytes;
  }
  std::ranges::move(older, std::back_inserter(stack.tables));
  stack.packs = std::move(packs);
  return stack;
}

// Tombstones hide what older tables say; in the oldest one there is nothing left to hide.
static Result<std::optional<TableInfo>> write_digests(
    const IncarnationStore& store, std::vector<std::unique_ptr<RowSource<DigestRow>>> layers,
    bool is_oldest) {
  auto merge = TRY(LayerMerge<DigestRow>::open(std::move(layers)));
  const auto table = TRY(DigestTableWriter::create(store));
  bool is_empty = true;
  while (const std::string* next = merge.next_path()) {
    const std::string path = *next;
    auto rows = TRY(merge.take(path));
    if (is_oldest) std::erase_if(rows, [](const auto& row) { return is_tombstone(row); });
    join_rows(rows);
    for (const auto& row : rows) TRY(table->add(row));
    is_empty = is_empty && rows.empty();
  }
  if (is_empty) return std::nullopt;
  TRY(table->finish({}));
  return table->info();
}

Result<DigestStack> stack_digest_tables(const IncarnationStore& store, DigestRuns::Taken own,
                                        EncodedRows tombstones, std::vector<TableInfo> older,
                                        const MapOptions& options) {
  if (!tombstones.empty()) own.runs.push_back(std::move(tombstones));
  if (own.runs.empty() && own.tables.empty()) return DigestStack{std::move(older), 0};
  std::uint64_t own_bytes = kTableOverhead;
  for (const auto& run : own.runs) own_bytes += size_bytes(run);
  for (const auto& table : own.tables) own_bytes += table.stored_bytes;
  const auto merged = tables_to_merge(own_bytes, older, options);

  std::vector<std::unique_ptr<RowSource<DigestRow>>> layers;
  auto own_rows = TRY(RunMerge<DigestRowDecoder>::open(own.runs));
  layers.push_back(std::make_unique<MemoryLayer<DigestRowDecoder>>(std::move(own_rows)));
  std::vector<TableInfo> inputs = own.tables;
  inputs.insert(inputs.end(), older.begin(), older.begin() + static_cast<std::ptrdiff_t>(merged));
  for (const auto& input : inputs) {
    auto table = TRY(DigestTableReader::open(store, input.id));
    layers.push_back(std::make_unique<DigestTableLayer>(std::move(table)));
  }
  auto info = TRY(write_digests(store, std::move(layers), merged == older.size()));
  for (const auto& table : own.tables) TRY(store.storage().remove(store.names().table(table.id)));

  DigestStack stack;
  if (info) {
    stack.written_bytes = info->stored_bytes;
    stack.tables.push_back(std::move(*info));
  }
  stack.tables.insert(stack.tables.end(), older.begin() + static_cast<std::ptrdiff_t>(merged),
                      older.end());
  return stack;
}

}  // namespace pitr
