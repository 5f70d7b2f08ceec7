#include "restore/files/file_writer.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace pitr {

namespace {

constexpr std::size_t kOpenFiles = 64;  // per thread
constexpr std::uint64_t kEarlyWriteback = 256 << 10;
constexpr std::size_t kPiecesAhead = 32;

bool is_right_behind(const PackPiece& piece, const PackPiece& before) {
  return piece.pack == before.pack && piece.first_frame == before.first_frame + before.frame_count;
}

// Tells the contents about the pieces that one thread will want next. What changed lies all over
// the packs, a frame here and there: read one after another, each would wait for the disk. Where
// one lies right behind the other, whoever reads files ahead does it better.
class PiecesAhead {
 public:
  PiecesAhead(const BackupContents& contents, const PackPieces& pieces)
      : contents_(contents), pieces_(pieces) {}

  // Mostly the next one; another one where it takes work from another thread's share.
  void move_to(std::size_t piece) {
    const auto end = std::min(piece + 1 + kPiecesAhead, pieces_.size());
    const bool is_next = piece < told_ && told_ <= end;
    if (!is_next) told_ = piece + 1;
    for (; told_ < end; ++told_) {
      if (!is_right_behind(pieces_[told_], pieces_[told_ - 1])) contents_.expect(pieces_[told_]);
    }
  }

 private:
  const BackupContents& contents_;
  const PackPieces& pieces_;
  std::size_t told_ = 0;  // the end of those that were told
};

// Names come from sealed tables; still nothing may be written outside the directory.
Result<void> check_path(const std::string& path) {
  const Path relative(path);
  const bool is_clean = !path.empty() && relative.is_relative() &&
                        relative.lexically_normal() == relative &&
                        *relative.begin() != Path("..") && *relative.begin() != Path(".");
  if (!is_clean) return Error::corrupt(fmt::format("\"{}\" is no path in a backup", path));
  return {};
}

}  // namespace

FileWriter::FileWriter(const BackupContents& contents, Path data_directory,
                       std::optional<FileOwner> owner,
                       const std::function<bool(const FileRow&)>& is_wanted, Existing existing)
    : contents_(contents),
      data_directory_(std::move(data_directory)),
      owner_(owner),
      existing_(existing) {
  for (const auto& row : contents_.files()) {
    is_wanted_.push_back(is_wanted(row));
    if (!is_wanted_.back() || row.type != FileType::kFile) continue;
    ++file_count_;
    total_bytes_ += row.size_bytes;
  }
}

std::uint64_t FileWriter::piece_bytes() const {
  std::uint64_t bytes = 0;
  for (std::uint32_t file = 0; file < is_wanted_.size(); ++file) {
    if (is_wanted_[file]) bytes += contents_.wanted_bytes(file);
  }
  return bytes;
}

Result<void> FileWriter::create_all(unsigned workers) {
  const auto& files = contents_.files();
  // Tables are in the order of paths: a directory comes before what is in it.
  std::vector<std::size_t> plain_files;
  for (std::size_t i = 0; i < files.size(); ++i) {
    if (!is_wanted_[i]) continue;
    if (files[i].type == FileType::kFile) {
      plain_files.push_back(i);
    } else {
      TRY(create(files[i]));
    }
  }
  return share_work(plain_files.size(), workers, [&](WorkShares& shares, unsigned worker) {
    return create_files(plain_files, shares, worker);
  });
}

Result<void> FileWriter::create_files(std::span<const std::size_t> numbers, WorkShares& shares,
                                      unsigned worker) {
  while (const auto next = shares.next(worker)) {
    TRY(create(contents_.files()[numbers[*next]]));
  }
  return {};
}

Result<void> FileWriter::create(const FileRow& row) {
  TRY(check_path(row.path));
  const auto path = data_directory_ / row.path;
  switch (row.type) {
    case FileType::kDirectory:
      return create_directory(row, path);
    case FileType::kSymlink:
      return create_link(row, path);
    case FileType::kFile:
      break;
  }
  return create_file(row, path);
}

Result<void> FileWriter::create_directory(const FileRow& row, const Path& path) {
  if (::mkdir(path.c_str(), row.mode & 0777) != 0 && errno != EEXIST) {
    return Error::from_errno(errno, "creating " + path.string());
  }
  if (::chmod(path.c_str(), row.mode & 0777) != 0) {
    return Error::from_errno(errno, "setting the mode of " + path.string());
  }
  return give_to(path, owner_);
}

Result<void> FileWriter::create_link(const FileRow& row, const Path& path) {
  // One that is there and leads elsewhere was removed.
  const bool may_exist = existing_ != Existing::kNothing;
  if (::symlink(row.link_target.c_str(), path.c_str()) != 0 && !(may_exist && errno == EEXIST)) {
    return Error::from_errno(errno, "creating " + path.string());
  }
  return give_to(path, owner_);
}

Result<void> FileWriter::create_file(const FileRow& row, const Path& path) {
  const int existing = existing_ == Existing::kNothing ? O_EXCL : O_NOFOLLOW;
  auto file = TRY(File::open(path, O_WRONLY | O_CREAT | existing, 0600));
  const auto size_bytes = TRY(file.size());
  if (size_bytes != row.size_bytes) TRY(file.truncate(row.size_bytes));
  if (::fchmod(file.fd(), row.mode & 0777) != 0) {
    return Error::from_errno(errno, "setting the mode of " + path.string());
  }
  TRY(give_to(file.fd(), path, owner_));
  return file.close();
}

Result<void> FileWriter::write_changed(File& file, ByteView bytes, std::uint64_t offset) {
  if (existing_ != Existing::kCompare) {
    written_bytes_ += bytes.size();
    return file.write_at(bytes, offset);
  }
  Bytes present(bytes.size());
  const auto there = TRY(file.read_at(present, offset));
  for (std::size_t from = 0; from < bytes.size(); from += kBlockSize) {
    const auto size = std::min<std::size_t>(kBlockSize, bytes.size() - from);
    const auto block = bytes.subspan(from, size);
    if (from + size <= there && std::ranges::equal(block, ByteView(present).subspan(from, size))) {
      continue;
    }
    written_bytes_ += size;
    TRY(file.write_at(block, offset + from));
  }
  return {};
}

Result<void> FileWriter::write_piece(const PackPiece& piece, ByteView bytes,
                                     std::map<std::uint32_t, File>& open_files,
                                     Observer& observer) {
  std::uint64_t written = 0;
  for (const auto& placement : piece.placements) {
    if (placement.file >= is_wanted_.size() || placement.piece_offset > bytes.size() ||
        placement.size_bytes > bytes.size() - placement.piece_offset) {
      return Error::corrupt("a piece of the backup reaches beyond its pack's frames");
    }
    if (!is_wanted_[placement.file]) continue;
    auto found = open_files.find(placement.file);
    if (found == open_files.end()) {
      if (open_files.size() >= kOpenFiles) open_files.clear();
      const auto path = data_directory_ / contents_.files()[placement.file].path;
      auto file = TRY(File::open(path, existing_ == Existing::kCompare ? O_RDWR : O_WRONLY));
      found = open_files.emplace(placement.file, std::move(file)).first;
    }
    TRY(write_changed(found->second, bytes.subspan(placement.piece_offset, placement.size_bytes),
                      placement.file_offset));
    if (placement.size_bytes >= kEarlyWriteback) {
      // Only a hint: the sync at the end finds less to do.
      (void)::sync_file_range(found->second.fd(), static_cast<off_t>(placement.file_offset),
                              static_cast<off_t>(placement.size_bytes), SYNC_FILE_RANGE_WRITE);
    }
    written += placement.size_bytes;
  }
  observer.advance(written);
  return {};
}

Result<void> FileWriter::write_all(unsigned workers, Observer& observer, std::stop_token stop) {
  for (std::size_t number = 0; number < contents_.batch_count(); ++number) {
    const auto pieces = TRY(contents_.batch(number));
    TRY(share_work(pieces->size(), workers, [&](WorkShares& shares, unsigned worker) {
      return write_pieces(*pieces, shares, worker, observer, stop);
    }));
  }
  return {};
}

Result<void> FileWriter::write_pieces(const PackPieces& pieces, WorkShares& shares, unsigned worker,
                                      Observer& observer, std::stop_token stop) {
  Bytes buffer;
  std::map<std::uint32_t, File> open_files;
  PiecesAhead ahead(contents_, pieces);
  while (const auto next = shares.next(worker)) {
    if (stop.stop_requested()) return Error::cancelled("the restore was stopped");
    ahead.move_to(*next);
    const auto& piece = pieces[*next];
    TRY(contents_.read(piece, buffer));
    TRY(write_piece(piece, buffer, open_files, observer));
  }
  return {};
}

}  // namespace pitr
