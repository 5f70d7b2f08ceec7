#include "repository/backup/pack_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "repository/backup/table_index.h"

namespace pitr {

static constexpr std::size_t kRowsPerPack = 1 << 17;
static constexpr std::size_t kPathBytesPerPack = 16 << 20;
// Very compressible data: frames, whose table a reader holds in memory, are counted in plain bytes.
static constexpr std::uint64_t kPlainPerStored = 8;

Result<PackRef> PackList::next_ref() {
  const std::lock_guard lock(mutex_);
  if (next_number_ > kHighestPackNumber) {
    return Error::invalid(
               fmt::format("backup {} has more than {} packs", backup_.text(), kHighestPackNumber))
        .with_hint("make packs larger");
  }
  return PackRef{backup_, next_number_++};
}

void PackList::add(FinishedPack pack, std::uint64_t read_bytes) {
  const std::lock_guard lock(mutex_);
  packs_.push_back(std::move(pack));
  read_bytes_ += read_bytes;
}

void PackList::writer_started() {
  const std::lock_guard lock(mutex_);
  ++unfinished_writers_;
}

void PackList::writer_finished() {
  const std::lock_guard lock(mutex_);
  --unfinished_writers_;
}

std::uint64_t PackList::unfinished_writers() const {
  const std::lock_guard lock(mutex_);
  return unfinished_writers_;
}

std::uint64_t PackList::read_bytes() const {
  const std::lock_guard lock(mutex_);
  return read_bytes_;
}

std::vector<FinishedPack> PackList::take() {
  const std::lock_guard lock(mutex_);
  std::ranges::sort(packs_, {}, &FinishedPack::ref);
  return std::exchange(packs_, {});
}

Result<void> WorkerPackWriter::add(const std::string& path, std::uint32_t first_block,
                                   ByteView bytes) {
  TRY(take(path, first_block, bytes, /*only_changed=*/false));
  return {};
}

Result<std::uint64_t> WorkerPackWriter::add_if_changed(const std::string& path,
                                                       std::uint32_t first_block, ByteView bytes) {
  return take(path, first_block, bytes, parent_.any());
}

Result<std::uint64_t> WorkerPackWriter::take(const std::string& path, std::uint32_t first_block,
                                             ByteView bytes, bool only_changed) {
  if (failure_) return *failure_;
  if (finished_) return Error::internal("bytes added to a pack writer that is finished");
  if (bytes.empty()) return 0;
  digests_.clear();
  for (std::size_t at = 0; at < bytes.size(); at += kBlockSize) {
    const auto block = bytes.subspan(at, std::min<std::size_t>(kBlockSize, bytes.size() - at));
    digests_.push_back(parent_.hasher().digest(block));
  }
  if (!only_changed) {
    auto stored = with_context(store(path, first_block, bytes, 0), path);
    if (stored) return bytes.size();
    failure_ = stored.error();
    return *failure_;
  }
  auto stored = with_context(store_changed(path, first_block, bytes), path);
  if (!stored) failure_ = stored.error();
  return stored;
}

// A short last block has a digest of its own, so one that was cut or grew differs.
Result<std::uint64_t> WorkerPackWriter::store_changed(const std::string& path,
                                                      std::uint32_t first_block, ByteView bytes) {
  parent_digests_.resize(digests_.size());
  TRY(parent_.find(path, first_block, parent_digests_));
  lost_.forget(path, first_block, parent_digests_);
  std::uint64_t stored = 0;
  for (std::size_t from = 0; from < digests_.size();) {
    auto to = from;
    while (to < digests_.size() && digests_[to] != parent_digests_[to]) ++to;
    if (to > from) {
      const auto start = from * kBlockSize;
      const auto run = bytes.subspan(start, std::min(to * kBlockSize, bytes.size()) - start);
      TRY(store(path, first_block + static_cast<std::uint32_t>(from), run, from));
      stored += run.size();
    }
    from = to + 1;
  }
  return stored;
}

Result<void> WorkerPackWriter::finish() {
  if (failure_) return *failure_;
  if (finished_) return {};
  if (pack_) {
    if (auto closed = close_pack(); !closed) {
      failure_ = closed.error();
      return closed;
    }
  }
  finished_ = true;
  list_.writer_finished();
  return {};
}

Result<void> WorkerPackWriter::store(const std::string& path, std::uint32_t first_block,
                                     ByteView bytes, std::size_t digest) {
  const auto count = (bytes.size() + kBlockSize - 1) / kBlockSize;
  if (count >= kToEndOfFile) return Error::invalid("too many blocks at once");
  PackedBlockRow row{path, first_block, static_cast<std::uint32_t>(count), 0, 0, kBlockSize};
  row.last_block_bytes = static_cast<std::uint32_t>(bytes.size() - (count - 1) * kBlockSize);
  TRY(check_row(row));

  if (pack_ && is_pack_full()) TRY(close_pack());
  if (!pack_) TRY(open_pack());
  row.plain_offset = pack_bytes_;
  TRY(put_bytes(bytes));
  add_row(std::move(row));
  add_digests(path, first_block, std::span(digests_).subspan(digest, count));
  return {};
}

void WorkerPackWriter::add_digests(const std::string& path, std::uint32_t first_block,
                                   std::span<const std::uint64_t> digests) {
  while (!digests.empty()) {
    DigestRow* last = digest_rows_.empty() ? nullptr : &digest_rows_.back();
    const bool continues = last != nullptr && last->count < kDigestsPerRow &&
                           last->end_block() == first_block && last->path == path;
    if (!continues) {
      digest_rows_.push_back({path, first_block, 0, {}});
      last = &digest_rows_.back();
    }
    const auto part =
        digests.first(std::min<std::size_t>(digests.size(), kDigestsPerRow - last->count));
    last->digests.insert(last->digests.end(), part.begin(), part.end());
    last->count += static_cast<std::uint32_t>(part.size());
    first_block += static_cast<std::uint32_t>(part.size());
    digests = digests.subspan(part.size());
  }
}

Result<void> WorkerPackWriter::put_bytes(ByteView bytes) {
  pack_bytes_ += bytes.size();
  if (pending_.size() + bytes.size() > kFrameSize) TRY(write_pending());
  while (bytes.size() >= kFrameSize) {
    TRY(pack_->upload.add_frame(bytes.first(kFrameSize)));
    bytes = bytes.subspan(kFrameSize);
  }
  pending_.insert(pending_.end(), bytes.begin(), bytes.end());
  return {};
}

Result<void> WorkerPackWriter::write_pending() {
  if (pending_.empty()) return {};
  TRY(pack_->upload.add_frame(pending_));
  pending_.clear();
  return {};
}

void WorkerPackWriter::add_row(PackedBlockRow row) {
  if (!rows_.empty()) {
    PackedBlockRow& last = rows_.back();
    const bool continues = last.path == row.path && last.end_block() == row.first_block &&
                           last.last_block_bytes == kBlockSize &&
                           std::uint64_t{last.count} + row.count < kToEndOfFile;
    if (continues) {
      last.count += row.count;
      last.last_block_bytes = row.last_block_bytes;
      return;
    }
  }
  path_bytes_ += row.path.size();
  rows_.push_back(std::move(row));
}

bool WorkerPackWriter::is_pack_full() const {
  return pack_->upload.stored_size_bytes() >= options_.pack_size_bytes ||
         pack_bytes_ / kPlainPerStored >= options_.pack_size_bytes ||
         rows_.size() >= kRowsPerPack || digest_rows_.size() >= kRowsPerPack ||
         path_bytes_ >= kPathBytesPerPack;
}

Result<void> WorkerPackWriter::open_pack() {
  auto ref = TRY(list_.next_ref());
  auto upload = TRY(SealedUpload::start(store_, ContainerKind::kPack,
                                        store_.names().pack(ref.backup, ref.number),
                                        options_.compression, options_.level));
  pack_.emplace(OpenPack{std::move(ref), std::move(upload)});
  pending_.reserve(kFrameSize);
  pack_bytes_ = 0;
  path_bytes_ = 0;
  return {};
}

Result<void> WorkerPackWriter::close_pack() {
  TRY(write_pending());
  auto rows = TRY(encode_rows<BlockRowEncoder>(std::move(rows_)));
  rows_.clear();
  const auto metadata = encode_pack_map(rows);
  TRY(pack_->upload.finish(metadata));
  auto digests = TRY(encode_rows<DigestRowEncoder>(std::move(digest_rows_)));
  digest_rows_.clear();
  TRY(digest_runs_.add(std::move(digests)));
  PackInfo info{pack_->upload.key(), pack_->upload.stored_size_bytes(), pack_bytes_, pack_bytes_};
  list_.add({std::move(pack_->ref), std::move(info), std::move(rows)}, pack_bytes_);
  pack_.reset();
  return {};
}

}  // namespace pitr
