#include "basebackup/tar_unpacker.h"

#include <fmt/format.h>

#include <algorithm>

namespace pitr {

static constexpr std::size_t kPieceBytes = 1u << 20;
static constexpr std::size_t kMaxKeptBytes = 1u << 20;

Result<void> TarUnpacker::start_archive(const BackupTablespace& tablespace) {
  TRY(finish_archive());
  prefix_ = tablespace.oid == 0 ? "" : fmt::format("pg_tblspc/{}/", tablespace.oid);
  tar_.emplace(*this);
  if (tablespace.oid == 0) return {};
  FileRow row;
  row.path = prefix_.substr(0, prefix_.size() - 1);
  row.type = FileType::kDirectory;
  row.mode = 0700;
  writer_.add_file(std::move(row));
  return {};
}

Result<void> TarUnpacker::finish_archive() {
  if (!tar_) return {};
  TRY(tar_->finish());
  tar_.reset();
  return {};
}

Result<void> TarUnpacker::entry(const TarEntry& entry) {
  if (entry.path.empty() || entry.path == ".") {
    is_packed_ = false;
    return {};
  }
  file_ = FileRow();
  file_.path = prefix_ + entry.path;
  file_.mode = entry.mode & 07777;
  file_.modified = entry.modified;
  file_.size_bytes = entry.size_bytes;
  kept_ = nullptr;
  if (file_.path == "backup_label") kept_ = &backup_label_;
  if (file_.path == "tablespace_map") kept_ = &tablespace_map_;
  is_packed_ = kept_ == nullptr;
  incremental_.reset();
  if (file_.path == "global/pg_control") kept_ = &control_file_;
  piece_.clear();
  handed_over_bytes_ = 0;

  switch (entry.kind) {
    case TarEntry::Kind::kFile:
      return start_content(entry);
    case TarEntry::Kind::kDirectory:
      file_.type = FileType::kDirectory;
      return {};
    case TarEntry::Kind::kSymlink:
      return Error::transient(
                 fmt::format("the server sent a link, {}: a tablespace was created while the "
                             "backup started",
                             file_.path))
          .with_hint("start the backup again");
  }
  return {};
}

// The path of the file that an INCREMENTAL one stands for.
static std::optional<std::string> incremental_path(const std::string& path) {
  constexpr std::string_view kPrefix = "INCREMENTAL.";
  const auto name = path.rfind('/') + 1;
  if (!std::string_view(path).substr(name).starts_with(kPrefix)) return std::nullopt;
  return path.substr(0, name) + path.substr(name + kPrefix.size());
}

// Any other file may be named so as well, by whoever put it into the directory.
Result<void> TarUnpacker::start_content(const TarEntry& entry) {
  if (!changes_) return {};
  auto path = incremental_path(file_.path);
  const auto file = path ? parse_main_fork_path(*path) : std::nullopt;
  if (!file) return {};
  const auto older_blocks = changes_->older_files.blocks_of(*file);
  if (!older_blocks) {
    return Error::corrupt(
        fmt::format("the server sent only changes of {}, of which it wasn't told that an earlier "
                    "backup has it",
                    *path));
  }
  // Cut while the backup started, after the server was told of the file.
  const std::uint64_t limit = changes_->changed.limit_of(file->relation);
  const auto first = std::uint64_t{file->segment} * wal::ChangedBlocks::kBlocksPerSegment;
  const bool is_cut = changes_->changed.is_rewritten(file->relation) || limit <= first;
  const auto valid = is_cut ? 0 : std::min<std::uint64_t>(*older_blocks, limit - first);
  file_.path = std::move(*path);
  incremental_.emplace(file_.path, static_cast<std::uint32_t>(valid), entry.size_bytes, crew_);
  return {};
}

Result<void> TarUnpacker::data(ByteView bytes) {
  unpacked_bytes_ += bytes.size();
  observer_.advance(bytes.size());
  if (kept_ != nullptr) {
    if (kept_->size() + bytes.size() > kMaxKeptBytes) {
      return Error::corrupt(fmt::format("{} is larger than {} bytes", file_.path, kMaxKeptBytes));
    }
    kept_->append(as_text(bytes));
  }
  if (incremental_) return incremental_->feed(bytes);
  while (is_packed_ && !bytes.empty()) {
    const auto room = kPieceBytes - piece_.size();
    const auto size = std::min(room, bytes.size());
    piece_.insert(piece_.end(), bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size));
    bytes = bytes.subspan(size);
    if (piece_.size() == kPieceBytes) TRY(hand_over());
  }
  return {};
}

Result<void> TarUnpacker::hand_over() {
  if (piece_.empty()) return {};
  const auto block = static_cast<std::uint32_t>(handed_over_bytes_ / kBlockSize);
  handed_over_bytes_ += piece_.size();
  Bytes piece;
  piece.reserve(kPieceBytes);
  std::swap(piece, piece_);
  return crew_.add(file_.path, block, std::move(piece));
}

Result<void> TarUnpacker::entry_end() {
  if (!is_packed_) return {};
  if (incremental_) {
    file_.size_bytes = TRY(incremental_->finish());
    incremental_.reset();
  }
  TRY(hand_over());
  writer_.add_file(file_, Keep::kRest);
  return {};
}

Result<void> TarUnpacker::add_file(const std::string& path, ByteView content, Timestamp modified) {
  FileRow row;
  row.path = path;
  row.mode = 0600;
  row.size_bytes = content.size();
  row.modified = modified;
  for (std::size_t at = 0; at < content.size(); at += kPieceBytes) {
    const auto part = content.subspan(at, std::min(kPieceBytes, content.size() - at));
    const auto block = static_cast<std::uint32_t>(at / kBlockSize);
    TRY(crew_.add(path, block, Bytes(part.begin(), part.end())));
  }
  writer_.add_file(std::move(row), Keep::kRest);
  return {};
}

}  // namespace pitr
