#include "basebackup/file_copy.h"

#include <fcntl.h>

#include <algorithm>

#include "postgres/page_checksum.h"

namespace pitr {

static constexpr std::size_t kReadBytes = 1u << 20;
static constexpr std::size_t kGapBytes = 64u << 10;
static constexpr std::size_t kReadsAhead = 32;

namespace {

// Starts reads that come next: scattered ones would wait for the disk one by one. Those that lie
// right behind one another are left to the kernel.
class ReadsAhead {
 public:
  ReadsAhead(const File& file, const std::vector<ByteRange>& ranges)
      : file_(file), cutter_(ranges, kReadBytes, kGapBytes) {}

  // Once for each read.
  void move_on() {
    ++wanted_;
    for (; told_ < wanted_ + kReadsAhead && cutter_.next(); ++told_) start(cutter_.read());
  }

 private:
  void start(const ByteRange& read) {
    if (read.offset != end_) {
      (void)::posix_fadvise(file_.fd(), static_cast<off_t>(read.offset),
                            static_cast<off_t>(read.size_bytes), POSIX_FADV_WILLNEED);
    }
    end_ = read.end();
  }

  const File& file_;
  ReadCutter cutter_;
  std::size_t wanted_ = 0;
  std::size_t told_ = 0;
  std::uint64_t end_ = 0;  // of the one told last
};

}  // namespace

void CopyFindings::add_failure(ChecksumFailure failure) {
  std::lock_guard lock(mutex_);
  ++failure_count_;
  if (failures_.size() < kMaxListed) failures_.push_back(std::move(failure));
}

std::uint64_t CopyFindings::failure_count() const {
  std::lock_guard lock(mutex_);
  return failure_count_;
}

std::vector<ChecksumFailure> CopyFindings::failures() const {
  std::lock_guard lock(mutex_);
  return failures_;
}

FileCopier::FileCopier(CopyContext context, PackWriter& pack, std::optional<PromiseChecker> promise)
    : context_(std::move(context)),
      pack_(pack),
      promise_(std::move(promise)),
      buffer_(kReadBytes) {}

Result<bool> FileCopier::copy(const WalkedFile& file, const CopyTask& task,
                              const std::vector<ByteRange>& ranges) {
  auto opened = File::open(file.source, O_RDONLY | O_NOFOLLOW);
  if (!opened && opened.error().kind() == ErrorKind::kNotFound) {
    if (task.is_first && task.is_last) return false;
    TRY(add_zeros(file, task, ranges));
    return true;
  }
  const auto source = TRY(std::move(opened));
  const bool is_sparse = task.size_bytes < task.span.size_bytes / 4;
  ::posix_fadvise(source.fd(), static_cast<off_t>(task.span.offset),
                  static_cast<off_t>(task.span.size_bytes),
                  is_sparse ? POSIX_FADV_RANDOM : POSIX_FADV_SEQUENTIAL);
  TRY(copy_ranges(file, source, task, ranges));
  return true;
}

Result<void> FileCopier::copy_ranges(const WalkedFile& file, const File& source,
                                     const CopyTask& task, const std::vector<ByteRange>& ranges) {
  ReadCutter cutter(ranges, kReadBytes, kGapBytes);
  ReadsAhead ahead(source, ranges);
  while (cutter.next()) {
    ahead.move_on();
    const auto& read = cutter.read();
    if (!context_.rate_limit.wait_for(read.size_bytes, context_.stop)) {
      return Error::cancelled("the backup was stopped");
    }
    const MutableByteView bytes = MutableByteView(buffer_).first(read.size_bytes);
    const auto found = TRY(source.read_at(bytes, read.offset));
    std::fill(bytes.begin() + static_cast<std::ptrdiff_t>(found), bytes.end(), 0);
    context_.findings.add_read(found);
    for (const auto& piece : cutter.pieces()) {
      const auto at = piece.offset - read.offset;
      const auto found_here =
          std::min<std::uint64_t>(piece.size_bytes, found - std::min(found, at));
      TRY(copy_piece(file, source, task, piece, bytes.subspan(at, piece.size_bytes), found_here));
    }
  }
  return {};
}

Result<void> FileCopier::copy_piece(const WalkedFile& file, const File& source,
                                    const CopyTask& task, const ByteRange& piece,
                                    MutableByteView bytes, std::size_t read_bytes) {
  const auto found = bytes.first(read_bytes);
  if (context_.verify_checksums && file.is_relation) {
    TRY(verify(file, source, piece.offset, found));
  }
  if (promise_) {
    TRY(promise_->check(file, static_cast<std::uint32_t>(piece.offset / kBlockSize), found));
  }
  return add(file, task, piece, bytes);
}

Result<void> FileCopier::add(const WalkedFile& file, const CopyTask& task, const ByteRange& piece,
                             ByteView bytes) {
  const auto block = static_cast<std::uint32_t>(piece.offset / kBlockSize);
  if (task.only_changed) {
    TRY(pack_.add_if_changed(file.row.path, block, bytes));
  } else {
    TRY(pack_.add(file.row.path, block, bytes));
  }
  context_.observer.advance(piece.size_bytes);
  return {};
}

Result<void> FileCopier::add_zeros(const WalkedFile& file, const CopyTask& task,
                                   const std::vector<ByteRange>& ranges) {
  std::ranges::fill(buffer_, 0);
  ReadCutter cutter(ranges, kReadBytes, 0);
  while (cutter.next()) {
    for (const auto& piece : cutter.pieces()) {
      TRY(add(file, task, piece, ByteView(buffer_).first(piece.size_bytes)));
    }
  }
  return {};
}

// Only whole pages that were really read: a page that the file ends in was cut off by a truncation,
// which WAL replay repeats.
Result<void> FileCopier::verify(const WalkedFile& file, const File& source, std::uint64_t offset,
                                MutableByteView bytes) {
  for (std::size_t at = 0; at + kPageSizeBytes <= bytes.size(); at += kPageSizeBytes) {
    TRY(verify_page(file, source, offset + at, bytes.subspan(at, kPageSizeBytes)));
  }
  return {};
}

Result<void> FileCopier::verify_page(const WalkedFile& file, const File& source,
                                     std::uint64_t offset, MutableByteView page) {
  const auto block_in_file = static_cast<std::uint32_t>(offset / kPageSizeBytes);
  const auto is_fine = [&] {
    const auto verdict = check_page(page, file.first_block_in_fork + block_in_file);
    if (verdict == PageVerdict::kValid || verdict == PageVerdict::kNew) return true;
    return verdict == PageVerdict::kMismatch && page_lsn(page) >= context_.start_lsn;
  };
  if (is_fine()) return {};
  // The server may have been writing it: once more.
  const auto read = TRY(source.read_at(page, offset));
  if (read < page.size()) {
    std::fill(page.begin() + static_cast<std::ptrdiff_t>(read), page.end(), 0);
    return {};
  }
  if (!is_fine()) context_.findings.add_failure({file.row.path, block_in_file});
  return {};
}

}  // namespace pitr
