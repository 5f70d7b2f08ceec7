#include "repository/backup/table_writer.h"

#include <fmt/format.h>

#include <random>

namespace pitr {

// 128 random bits: nobody else's name.
static std::string random_table_id() {
  std::random_device random;
  std::string id;
  for (int i = 0; i < 4; ++i) id += fmt::format("{:08x}", random());
  return id;
}

static constexpr ContainerKind kind_of(const FileRow*) {
  return ContainerKind::kFileTable;
}
static constexpr ContainerKind kind_of(const PackedBlockRow*) {
  return ContainerKind::kBlockTable;
}

static constexpr ContainerKind kind_of(const DigestRow*) {
  return ContainerKind::kDigestTable;
}

static TableIndex::FirstKey key_of(const FileRow& row) {
  return {row.path, 0};
}
template <typename Row>
static TableIndex::FirstKey key_of(const Row& row) {
  return {row.path, row.first_block};
}

template <typename Encoder, typename Row>
Result<std::unique_ptr<TableWriter<Encoder, Row>>> TableWriter<Encoder, Row>::create(
    const IncarnationStore& store) {
  auto id = random_table_id();
  const auto kind = kind_of(static_cast<const Row*>(nullptr));
  auto upload = TRY(SealedUpload::start(store, kind, store.names().table(id)));
  return std::unique_ptr<TableWriter>(new TableWriter(std::move(id), std::move(upload)));
}

template <typename Encoder, typename Row>
Result<void> TableWriter<Encoder, Row>::add(const Row& row) {
  TRY(check_row(row));
  const bool first = index_.row_count == 0;
  if (!first && !follows(row, last_row_)) {
    return Error::invalid(
        fmt::format("{} comes behind {} or overlaps it", row.path, last_row_.path));
  }
  if (!encoder_.empty() && !encoder_.fits(row)) TRY(write_frame());
  if (encoder_.empty()) index_.frames.push_back(key_of(row));
  encoder_.add(row);
  ++index_.row_count;
  last_row_ = row;
  return {};
}

template <typename Encoder, typename Row>
Result<void> TableWriter<Encoder, Row>::write_frame() {
  return upload_.add_frame(encoder_.take());
}

template <typename Encoder, typename Row>
Result<std::string> TableWriter<Encoder, Row>::finish(std::vector<PackRef> packs) {
  if (!encoder_.empty()) TRY(write_frame());
  index_.packs = std::move(packs);
  TRY(upload_.finish(encode_table_index(index_)));
  return id_;
}

template class TableWriter<FileRowEncoder, FileRow>;
template class TableWriter<BlockRowEncoder, PackedBlockRow>;
template class TableWriter<DigestRowEncoder, DigestRow>;

}  // namespace pitr
