#include "repository/backup/file_table.h"

#include <fmt/format.h>

#include <charconv>
#include <map>

#include "repository/backup/table_reader.h"
#include "repository/backup/table_writer.h"

namespace pitr {

std::string to_string(const PackRef& pack) {
  return fmt::format("{}-{:06}", pack.backup.text(), pack.number);
}

Result<PackRef> parse_pack_name(std::string_view name) {
  static constexpr std::size_t kDigits = 6;
  const auto dash = name.rfind('-');
  const auto digits = name.substr(dash == std::string_view::npos ? name.size() : dash + 1);
  std::uint32_t number = 0;
  const auto* end = digits.data() + digits.size();
  const auto [stopped, error] = std::from_chars(digits.data(), end, number);
  if (digits.size() != kDigits || error != std::errc() || stopped != end) {
    return Error::invalid(fmt::format("\"{}\" is not the name of a pack", name));
  }
  auto backup = TRY(BackupId::parse(name.substr(0, dash)));
  return PackRef{std::move(backup), number};
}

namespace {

class FileTable final : public FileTableWriter {
 public:
  explicit FileTable(std::unique_ptr<PackedFileTableWriter> writer) : writer_(std::move(writer)) {}
  Result<void> add(const FileRow& row) override { return writer_->add(row); }
  Result<std::string> finish() override { return writer_->finish({}); }

 private:
  std::unique_ptr<PackedFileTableWriter> writer_;
};

class BlockTable final : public BlockTableWriter {
 public:
  explicit BlockTable(std::unique_ptr<PackedBlockTableWriter> writer)
      : writer_(std::move(writer)) {}

  Result<void> add(const BlockRow& row) override {
    PackedBlockRow packed{row.path,         row.first_block,
                          row.count,        PackedBlockRow::kTombstone,
                          row.plain_offset, row.last_block_bytes};
    if (row.pack) packed.pack = number_of(*row.pack);
    return writer_->add(packed);
  }
  Result<std::string> finish() override { return writer_->finish(std::move(packs_)); }

 private:
  std::uint32_t number_of(const PackRef& pack) {
    const auto next = static_cast<std::uint32_t>(packs_.size());
    const auto [found, is_new] = numbers_.emplace(pack, next);
    if (is_new) packs_.push_back(pack);
    return found->second;
  }

  std::unique_ptr<PackedBlockTableWriter> writer_;
  std::vector<PackRef> packs_;
  std::map<PackRef, std::uint32_t> numbers_;
};

}  // namespace

Result<std::unique_ptr<FileTableWriter>> FileTableWriter::create(const IncarnationStore& store) {
  auto writer = TRY(PackedFileTableWriter::create(store));
  return std::make_unique<FileTable>(std::move(writer));
}

Result<std::unique_ptr<BlockTableWriter>> BlockTableWriter::create(const IncarnationStore& store) {
  auto writer = TRY(PackedBlockTableWriter::create(store));
  return std::make_unique<BlockTable>(std::move(writer));
}

Result<void> read_file_table(const IncarnationStore& store, const std::string& table_id,
                             const std::function<Result<void>(const FileRow&)>& visit) {
  const auto reader = TRY(FileTableReader::open(store, table_id));
  while (true) {
    const bool found = TRY(reader->next());
    if (!found) return {};
    TRY(visit(reader->row()));
  }
}

Result<void> read_block_table(const IncarnationStore& store, const std::string& table_id,
                              const std::function<Result<void>(const BlockRow&)>& visit) {
  const auto reader = TRY(BlockTableReader::open(store, table_id));
  while (true) {
    const bool found = TRY(reader->next());
    if (!found) return {};
    const auto& packed = reader->row();
    BlockRow row{packed.path,  packed.first_block,  packed.count,
                 std::nullopt, packed.plain_offset, packed.last_block_bytes};
    if (packed.pack != PackedBlockRow::kTombstone) row.pack = reader->index().packs[packed.pack];
    TRY(visit(row));
  }
}

}  // namespace pitr
