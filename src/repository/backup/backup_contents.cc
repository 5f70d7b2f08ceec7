#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <ranges>
#include <set>
#include <thread>

#include "repository/backup/backup_reader.h"
#include "repository/backup/block_layers.h"
#include "repository/backup/pack_pieces.h"
#include "repository/backup/pack_readers.h"
#include "repository/backup/table_reader.h"

namespace pitr {
namespace {

constexpr std::size_t kOpeningThreads = 8;
constexpr std::size_t kNamedFiles = 5;  // in an error

class RepositoryBackupContents final : public BackupContents {
 public:
  RepositoryBackupContents(const IncarnationStore& store, std::vector<PackInfo> packs)
      : packs_(store, std::move(packs)) {}

  Result<void> load(const IncarnationStore& store, const BackupManifest& manifest,
                    const BlockSelection* only);
  const std::vector<FileRow>& files() const override { return files_; }
  const std::vector<PackPiece>& pieces() const override { return pieces_; }
  Result<void> read(const PackPiece& piece, Bytes& into) const override;
  Result<Bytes> read_file(std::string_view path, std::uint64_t limit_bytes) const override;

 private:
  Result<std::vector<Extent>> load_extents(const IncarnationStore& store,
                                           const BackupManifest& manifest,
                                           const BlockSelection* only) const;
  Result<void> cut_pieces(std::vector<Extent> extents);
  Error describe(const Error& error, const SealedReader& pack, const PackPiece& piece) const;

  PackReaders packs_;
  std::vector<FileRow> files_;
  std::vector<PackPiece> pieces_;
};

// The wanted parts of a row.
void append_extents(std::vector<Extent>& extents, std::uint32_t file, const PackedBlockRow& row,
                    const BlockSelection* only) {
  if (!only) {
    extents.push_back({file, row.pack, row.plain_offset,
                       std::uint64_t{row.first_block} * kBlockSize, row.size_bytes()});
    return;
  }
  for (auto from = std::uint64_t{row.first_block};;) {
    const auto run = only->next_run(file, from, row.end_block());
    if (!run) return;
    from = run->first + run->count;
    const auto part = cut(row, run->first, from);
    extents.push_back(
        {file, part.pack, part.plain_offset, run->first * kBlockSize, part.size_bytes()});
  }
}

Result<std::vector<Extent>> RepositoryBackupContents::load_extents(
    const IncarnationStore& store, const BackupManifest& manifest,
    const BlockSelection* only) const {
  const auto numbers = TRY(PackNumbers::of(manifest.packs));
  auto layers = TRY(open_block_layers(store, manifest.block_tables, numbers));
  auto map = TRY(BlockMap::open(std::move(layers)));
  std::vector<Extent> extents;
  for (std::uint32_t file = 0; file < files_.size(); ++file) {
    const auto rows = TRY(map.rows_of(files_[file]));
    for (const auto& row : rows) append_extents(extents, file, row, only);
  }
  TRY(map.finish());
  return extents;
}

// Opens all packs that are needed, so that a missing one is noticed before anything is restored.
Result<void> RepositoryBackupContents::cut_pieces(std::vector<Extent> extents) {
  std::ranges::sort(extents, [](const Extent& a, const Extent& b) {
    return a.pack != b.pack ? a.pack < b.pack : a.pack_offset < b.pack_offset;
  });
  std::vector<std::span<const Extent>> groups;
  for (auto from = extents.begin(); from != extents.end();) {
    const auto to = std::ranges::find_if(
        from, extents.end(), [&](const Extent& extent) { return extent.pack != from->pack; });
    groups.emplace_back(from, to);
    from = to;
  }

  std::vector<Result<std::vector<PackPiece>>> cut(groups.size());
  std::atomic<std::size_t> next_group = 0;
  const auto cut_group = [&](std::span<const Extent> group) -> Result<std::vector<PackPiece>> {
    const auto number = group.front().pack;
    const auto pack = TRY(packs_.open(number));
    return with_context(cut_into_pieces(group, pack->container()),
                        packs_.packs()[number].key.text());
  };
  const auto work = [&] {
    for (auto i = next_group++; i < groups.size(); i = next_group++) cut[i] = cut_group(groups[i]);
  };
  {
    std::vector<std::jthread> threads;
    for (std::size_t i = 1; i < std::min(kOpeningThreads, groups.size()); ++i) {
      threads.emplace_back(work);
    }
    work();
  }
  for (auto& group : cut) {
    auto pieces = TRY(std::move(group));
    std::ranges::move(pieces, std::back_inserter(pieces_));
  }
  return {};
}

Result<void> RepositoryBackupContents::load(const IncarnationStore& store,
                                            const BackupManifest& manifest,
                                            const BlockSelection* only) {
  files_ = TRY(read_backup_files(store, manifest));
  if (only && only->file_count() != files_.size()) {
    return Error::internal("blocks of another backup are wanted");
  }
  auto extents = TRY(load_extents(store, manifest, only));
  return cut_pieces(std::move(extents));
}

// Which of the piece's frames doesn't open, and whose bytes it has.
Error RepositoryBackupContents::describe(const Error& error, const SealedReader& pack,
                                         const PackPiece& piece) const {
  if (error.kind() != ErrorKind::kCorrupt) return error;
  const auto piece_start = pack->plain_offset(piece.first_frame);
  std::set<std::string_view> paths;
  Bytes plain;
  for (std::uint32_t i = 0; i < piece.frame_count; ++i) {
    const auto frame = piece.first_frame + i;
    if (pack->read_frame(frame, plain)) continue;
    const auto from = pack->plain_offset(frame) - piece_start;
    const auto to = pack->plain_offset(frame + 1) - piece_start;
    for (const auto& placement : piece.placements) {
      const bool touched =
          placement.piece_offset < to && from < placement.piece_offset + placement.size_bytes;
      if (touched) paths.insert(files_[placement.file].path);
    }
  }
  if (paths.empty()) return error;
  std::string shown;
  for (const auto path : paths | std::views::take(kNamedFiles)) {
    shown += fmt::format("{}{}", shown.empty() ? "" : ", ", path);
  }
  if (paths.size() > kNamedFiles) {
    shown += fmt::format(" and {} more files", paths.size() - kNamedFiles);
  }
  return Error(error.kind(), fmt::format("{} (in {})", error.message(), shown))
      .with_hint(error.hint());
}

Result<void> RepositoryBackupContents::read(const PackPiece& piece, Bytes& into) const {
  const auto pack = TRY(packs_.open(piece.pack));
  auto done = (*pack)->read_frames(piece.first_frame, piece.frame_count, into);
  if (!done) return describe(done.error(), *pack, piece);
  return {};
}

Result<Bytes> RepositoryBackupContents::read_file(std::string_view path,
                                                  std::uint64_t limit_bytes) const {
  const auto found = std::ranges::lower_bound(files_, path, {}, &FileRow::path);
  if (found == files_.end() || found->path != path || found->type != FileType::kFile) {
    return Error::not_found(fmt::format("the backup has no file {}", path));
  }
  if (found->size_bytes > limit_bytes) {
    return Error::invalid(fmt::format("{} has {} bytes where {} are the limit", path,
                                      found->size_bytes, limit_bytes));
  }
  const auto number = static_cast<std::uint32_t>(found - files_.begin());
  Bytes content(found->size_bytes);
  for (const auto& piece : pieces_) {
    for (const auto& placement : piece.placements) {
      if (placement.file != number) continue;
      const auto pack = TRY(packs_.open(piece.pack));
      const auto offset = (*pack)->plain_offset(piece.first_frame) + placement.piece_offset;
      const auto part =
          MutableByteView(content).subspan(placement.file_offset, placement.size_bytes);
      auto done = (*pack)->read_plain(offset, part);
      if (!done) return describe(done.error(), *pack, piece);
    }
  }
  return content;
}

}  // namespace

Result<std::vector<FileRow>> read_backup_files(const IncarnationStore& store,
                                               const BackupManifest& manifest) {
  std::vector<FileRow> files;
  std::uint64_t file_count = 0;
  std::uint64_t total_bytes = 0;
  const auto table = TRY(FileTableReader::open(store, manifest.file_table));
  while (true) {
    const bool found = TRY(table->next());
    if (!found) break;
    files.push_back(table->row());
    if (table->row().type == FileType::kFile) ++file_count;
    total_bytes += table->row().size_bytes;
  }
  if (file_count == manifest.file_count && total_bytes == manifest.total_bytes) return files;
  return Error::corrupt(fmt::format("{} files with {} bytes, but the manifest says {} with {}",
                                    file_count, total_bytes, manifest.file_count,
                                    manifest.total_bytes));
}

Result<std::unique_ptr<BackupContents>> BackupContents::open(const IncarnationStore& store,
                                                             const BackupManifest& manifest,
                                                             const BlockSelection* only) {
  auto contents = std::make_unique<RepositoryBackupContents>(store, manifest.packs);
  auto loaded = with_context(contents->load(store, manifest, only), "backup " + manifest.id.text());
  if (loaded) return contents;
  if (loaded.error().kind() != ErrorKind::kNotFound) return loaded.error();
  // The manifest says that it is there.
  return Error::corrupt(loaded.error().message());
}

}  // namespace pitr
