#include "repository/backup/table_reader.h"

#include <fmt/format.h>

#include <algorithm>

namespace pitr {

static constexpr std::uint32_t kFramesAtOnce = 16;

Result<ObjectKey> table_key(const IncarnationStore& store, const std::string& table_id) {
  if (table_id.find('/') != std::string::npos || !ObjectKey::parse(table_id)) {
    return Error::invalid(fmt::format("no table is named \"{}\"", table_id));
  }
  return store.names().table(table_id);
}

template <typename Decoder>
static constexpr ContainerKind kKindOf = ContainerKind::kFileTable;
template <>
constexpr ContainerKind kKindOf<BlockRowDecoder> = ContainerKind::kBlockTable;
template <>
constexpr ContainerKind kKindOf<DigestRowDecoder> = ContainerKind::kDigestTable;

static bool starts_at(const FileRow& row, const TableIndex::FirstKey& key) {
  return row.path == key.path && key.first_block == 0;
}
template <typename Row>
static bool starts_at(const Row& row, const TableIndex::FirstKey& key) {
  return row.path == key.path && row.first_block == key.first_block;
}

template <typename Row>
static bool has_pack(const Row&, const TableIndex&) {
  return true;
}
static bool has_pack(const PackedBlockRow& row, const TableIndex& index) {
  return row.pack == PackedBlockRow::kTombstone || row.pack < index.packs.size();
}

Result<OpenTable> open_table(const IncarnationStore& store, ContainerKind kind,
                             const std::string& table_id) {
  auto key = TRY(table_key(store, table_id));
  auto object = TRY(SealedReader::open(store, kind, key));
  auto index = TRY(with_context(decode_table_index(object->metadata()), key.text()));
  if (index.frames.size() != object->frame_count()) {
    return Error::corrupt(fmt::format("{}: {} frames, but the index has {}", key.text(),
                                      object->frame_count(), index.frames.size()));
  }
  return OpenTable{std::move(key), std::move(object), std::move(index)};
}

template <typename Decoder>
Result<std::unique_ptr<TableReader<Decoder>>> TableReader<Decoder>::open(
    const IncarnationStore& store, const std::string& table_id) {
  auto table = TRY(open_table(store, kKindOf<Decoder>, table_id));
  return std::unique_ptr<TableReader>(new TableReader(std::move(table)));
}

template <typename Decoder>
Result<void> TableReader<Decoder>::open_next_frame() {
  if (next_frame_ == plain_end_) {
    const auto count = std::min(kFramesAtOnce, table_.object->frame_count() - next_frame_);
    TRY(table_.object->read_frames(next_frame_, count, plain_));
    plain_first_ = next_frame_;
    plain_end_ = next_frame_ + count;
  }
  const auto start = table_.object->plain_offset(next_frame_);
  const auto size = table_.object->plain_offset(next_frame_ + 1) - start;
  const auto frame =
      ByteView(plain_).subspan(start - table_.object->plain_offset(plain_first_), size);
  decoder_ = TRY(with_context(Decoder::open(frame), table_.key.text()));
  ++next_frame_;
  return {};
}

template <typename Decoder>
Result<void> TableReader<Decoder>::check_first_row() {
  const bool in_order = !last_row_ || follows(row(), *last_row_);
  if (in_order && starts_at(row(), table_.index.frames[next_frame_ - 1])) return {};
  return Error::corrupt(fmt::format("{}: frame {} does not start where the index says",
                                    table_.key.text(), next_frame_ - 1));
}

template <typename Decoder>
Result<bool> TableReader<Decoder>::advance() {
  if (decoder_) {
    const bool found = TRY(with_context(decoder_->next(), table_.key.text()));
    if (found) return true;
  }
  if (next_frame_ == table_.object->frame_count()) {
    if (rows_read_ == table_.index.row_count) return false;
    return Error::corrupt(fmt::format("{}: {} rows, but the index has {}", table_.key.text(),
                                      rows_read_, table_.index.row_count));
  }
  if (decoder_) last_row_ = decoder_->row();
  TRY(open_next_frame());
  const bool found = TRY(with_context(decoder_->next(), table_.key.text()));
  if (!found)
    return Error::corrupt(
        fmt::format("{}: frame {} has no rows", table_.key.text(), next_frame_ - 1));
  TRY(check_first_row());
  return true;
}

template <typename Decoder>
Result<bool> TableReader<Decoder>::next() {
  const bool found = TRY(advance());
  if (!found) return false;
  ++rows_read_;
  if (has_pack(row(), table_.index)) return true;
  return Error::corrupt(fmt::format("{}: {} is in a pack that the index doesn't have",
                                    table_.key.text(), row().path));
}

template class TableReader<FileRowDecoder>;
template class TableReader<BlockRowDecoder>;
template class TableReader<DigestRowDecoder>;

}  // namespace pitr
