#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <ranges>
#include <set>
#include <thread>

#include "repository/backup/backup_reader.h"
#include "repository/backup/extent_loader.h"
#include "repository/backup/pack_pieces.h"
#include "repository/backup/pack_readers.h"
#include "repository/backup/table_reader.h"

namespace pitr {
namespace {

constexpr std::size_t kOpeningThreads = 8;
constexpr std::size_t kNamedFiles = 5;  // in an error

class RepositoryBackupContents final : public BackupContents {
 public:
  RepositoryBackupContents(const IncarnationStore& store, const BackupManifest& manifest,
                           const BlockSelection* only, std::uint64_t most_placements)
      : store_(store),
        manifest_(manifest),
        most_placements_(most_placements),
        loader_(store_, manifest_, files_, only),
        packs_(store, manifest.packs),
        only_(only) {}

  Result<void> load();
  const std::vector<FileRow>& files() const override { return files_; }
  std::uint64_t wanted_bytes(std::uint32_t file) const override { return wanted_bytes_[file]; }
  std::size_t batch_count() const override { return batches_.size(); }
  Result<std::shared_ptr<const PackPieces>> batch(std::size_t number) const override;
  Result<void> read(const PackPiece& piece, Bytes& into) const override;
  void expect(const PackPiece& piece) const override;
  Result<Bytes> read_file(std::string_view path, std::uint64_t limit_bytes) const override;

 private:
  Result<void> check_packs(const std::vector<ExtentSurvey::Pack>& packs) const;
  Result<std::shared_ptr<const PackPieces>> cut_pieces(std::vector<Extent> extents) const;
  Result<std::vector<Extent>> extents_of(std::uint32_t file) const;
  Error describe(const Error& error, const SealedReader& pack, const PackPiece& piece) const;

  const IncarnationStore store_;
  const BackupManifest manifest_;
  const std::uint64_t most_placements_;
  std::vector<FileRow> files_;
  const ExtentLoader loader_;
  const PackReaders packs_;
  const BlockSelection* const only_;
  std::vector<std::uint64_t> wanted_bytes_;
  std::vector<PackRange> batches_;
  std::shared_ptr<const PackPieces> only_batch_;  // where there is one batch
};

// Does it for each number below count, on several threads. The first error in order of numbers.
template <typename Work>
Result<void> for_each_number(std::size_t count, const Work& work) {
  std::vector<Result<void>> results(count);
  std::atomic<std::size_t> next = 0;
  const auto run = [&] {
    for (auto i = next++; i < count; i = next++) results[i] = work(i);
  };
  {
    std::vector<std::jthread> threads;
    for (std::size_t i = 1; i < std::min(kOpeningThreads, count); ++i) threads.emplace_back(run);
    run();
  }
  for (auto& result : results) TRY(std::move(result));
  return {};
}

// Opens all packs that are needed, so that a missing one is noticed before anything is restored.
Result<void> RepositoryBackupContents::check_packs(
    const std::vector<ExtentSurvey::Pack>& packs) const {
  return for_each_number(packs.size(), [&](std::size_t number) -> Result<void> {
    if (packs[number].extents == 0) return {};
    const auto pack = TRY(packs_.open(static_cast<std::uint32_t>(number)));
    const auto size_bytes = (*pack)->plain_size_bytes();
    if (packs[number].end_offset <= size_bytes) return {};
    return Error::corrupt(fmt::format("{}: bytes up to {} are wanted of {}",
                                      packs_.packs()[number].key.text(), packs[number].end_offset,
                                      size_bytes));
  });
}

Result<std::shared_ptr<const PackPieces>> RepositoryBackupContents::cut_pieces(
    std::vector<Extent> extents) const {
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
  std::vector<PackPieces> cut(groups.size());
  const auto cut_group = [&](std::size_t i) -> Result<void> {
    const auto number = groups[i].front().pack;
    const auto pack = TRY(packs_.open(number));
    cut[i] = TRY(with_context(cut_into_pieces(groups[i], pack->container()),
                              packs_.packs()[number].key.text()));
    return {};
  };
  TRY(for_each_number(groups.size(), cut_group));
  auto all = std::make_shared<PackPieces>();
  for (auto& group : cut) std::ranges::move(group, std::back_inserter(*all));
  return all;
}

Result<void> RepositoryBackupContents::load() {
  files_ = TRY(read_backup_files(store_, manifest_));
  if (only_ && only_->file_count() != files_.size()) {
    return Error::internal("blocks of another backup are wanted");
  }
  auto survey = TRY(loader_.survey(most_placements_));
  wanted_bytes_ = std::move(survey.wanted_bytes);
  if (survey.extents) {
    batches_.emplace_back(0, static_cast<std::uint32_t>(survey.packs.size()));
    only_batch_ = TRY(cut_pieces(std::move(*survey.extents)));
    return {};
  }
  batches_ = batches_of(survey.packs, most_placements_);
  return check_packs(survey.packs);
}

Result<std::shared_ptr<const PackPieces>> RepositoryBackupContents::batch(
    std::size_t number) const {
  if (only_batch_) return only_batch_;
  auto extents = TRY(loader_.load(batches_.at(number)));
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

void RepositoryBackupContents::expect(const PackPiece& piece) const {
  const auto pack = packs_.open(piece.pack);
  if (pack) (**pack)->expect_frames(piece.first_frame, piece.frame_count);
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
  const auto extents = TRY(extents_of(static_cast<std::uint32_t>(found - files_.begin())));
  Bytes content(found->size_bytes);
  for (const auto& extent : extents) {
    const auto pack = TRY(packs_.open(extent.pack));
    const auto part = MutableByteView(content).subspan(extent.file_offset, extent.size_bytes);
    TRY(with_context((*pack)->read_plain(extent.pack_offset, part), path));
  }
  return content;
}

// From the pieces where all of them are at hand: the tables needn't be read again.
Result<std::vector<Extent>> RepositoryBackupContents::extents_of(std::uint32_t file) const {
  if (!only_batch_) return loader_.load_file(file);
  std::vector<Extent> extents;
  for (const auto& piece : *only_batch_) {
    for (const auto& placement : piece.placements) {
      if (placement.file != file) continue;
      const auto pack = TRY(packs_.open(piece.pack));
      const auto offset = (*pack)->plain_offset(piece.first_frame) + placement.piece_offset;
      extents.push_back({file, piece.pack, offset, placement.file_offset, placement.size_bytes});
    }
  }
  return extents;
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
                                                             const BlockSelection* only,
                                                             std::uint64_t most_placements) {
  auto contents =
      std::make_unique<RepositoryBackupContents>(store, manifest, only, most_placements);
  auto loaded = with_context(contents->load(), "backup " + manifest.id.text());
  if (loaded) return contents;
  if (loaded.error().kind() != ErrorKind::kNotFound) return loaded.error();
  // The manifest says that it is there.
  return Error::corrupt(loaded.error().message());
}

Result<void> for_each_piece(const BackupContents& contents,
                            const std::function<Result<void>(const PackPiece&)>& visit) {
  for (std::size_t number = 0; number < contents.batch_count(); ++number) {
    const auto pieces = TRY(contents.batch(number));
    for (const auto& piece : *pieces) TRY(visit(piece));
  }
  return {};
}

}  // namespace pitr
