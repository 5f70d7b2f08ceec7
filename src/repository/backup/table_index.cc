#include "repository/backup/table_index.h"

#include <fmt/format.h>

#include <map>

#include "repository/backup/table_rows.h"

namespace pitr {

static constexpr std::uint64_t kIndexFormat = 1;
static constexpr std::uint64_t kPackMapFormat = 1;
static constexpr std::size_t kBackupIdSize = 33;

static Result<void> check_format(ByteReader& reader, std::uint64_t newest, const char* what) {
  const auto format = TRY(reader.varint());
  if (format >= 1 && format <= newest) return {};
  return Error::invalid(fmt::format("{} has format version {}; this pitr reads up to {}", what,
                                    format, newest))
      .with_hint("it was written by a newer pitr: upgrade this one");
}

static void write_packs(ByteWriter& writer, const std::vector<PackRef>& packs) {
  std::map<BackupId, std::size_t> backups;
  for (const auto& pack : packs) backups.emplace(pack.backup, 0);
  writer.varint(backups.size());
  std::size_t number = 0;
  for (auto& [backup, index] : backups) {
    index = number++;
    writer.raw(as_bytes(backup.text()));
  }
  writer.varint(packs.size());
  for (const auto& pack : packs) {
    writer.varint(backups.at(pack.backup));
    writer.varint(pack.number);
  }
}

static Result<std::vector<PackRef>> read_packs(ByteReader& reader) {
  std::vector<BackupId> backups;
  const auto backup_count = TRY(reader.varint());
  for (std::uint64_t i = 0; i < backup_count; ++i) {
    const auto text = TRY(reader.raw(kBackupIdSize));
    auto backup = BackupId::parse(as_text(text));
    if (!backup) return Error::corrupt("the dictionary of packs: " + backup.error().message());
    backups.push_back(std::move(*backup));
  }
  std::vector<PackRef> packs;
  const auto pack_count = TRY(reader.varint());
  for (std::uint64_t i = 0; i < pack_count; ++i) {
    const auto backup = TRY(reader.varint());
    const auto number = TRY(reader.varint());
    if (backup >= backups.size() || number > kHighestPackNumber) {
      return Error::corrupt(fmt::format("the dictionary of packs has no pack {}", i));
    }
    packs.push_back({backups[backup], static_cast<std::uint32_t>(number)});
  }
  return packs;
}

Bytes encode_table_index(const TableIndex& index) {
  ByteWriter writer;
  writer.varint(kIndexFormat);
  writer.varint(index.row_count);
  writer.varint(index.frames.size());
  for (const auto& key : index.frames) {
    writer.string(key.path);
    writer.varint(key.first_block);
  }
  write_packs(writer, index.packs);
  return writer.take();
}

Result<TableIndex> decode_table_index(ByteView metadata) {
  ByteReader reader(metadata);
  TRY(check_format(reader, kIndexFormat, "the table"));
  TableIndex index;
  index.row_count = TRY(reader.varint());
  const auto frame_count = TRY(reader.varint());
  for (std::uint64_t i = 0; i < frame_count; ++i) {
    TableIndex::FirstKey key;
    key.path = TRY(reader.string(kLongestPath));
    const auto block = TRY(reader.varint());
    if (block > kToEndOfFile)
      return Error::corrupt(fmt::format("{}: no block {}", key.path, block));
    key.first_block = static_cast<std::uint32_t>(block);
    index.frames.push_back(std::move(key));
  }
  index.packs = TRY(read_packs(reader));
  if (!reader.at_end()) return Error::corrupt("bytes behind the table's index");
  return index;
}

Bytes encode_pack_map(const std::vector<Bytes>& frames) {
  ByteWriter writer;
  writer.varint(kPackMapFormat);
  writer.varint(frames.size());
  for (const auto& frame : frames) writer.string(as_text(frame));
  return writer.take();
}

Result<std::vector<Bytes>> decode_pack_map(ByteView metadata) {
  ByteReader reader(metadata);
  TRY(check_format(reader, kPackMapFormat, "the pack"));
  std::vector<Bytes> frames;
  const auto frame_count = TRY(reader.varint());
  for (std::uint64_t i = 0; i < frame_count; ++i) {
    const auto size = TRY(reader.varint());
    const auto frame = TRY(reader.raw(size));
    frames.emplace_back(frame.begin(), frame.end());
  }
  if (!reader.at_end()) return Error::corrupt("bytes behind the pack's map");
  return frames;
}

}  // namespace pitr
