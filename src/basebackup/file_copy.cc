#include "basebackup/file_copy.h"

#include <fcntl.h>

#include <algorithm>

#include "postgres/page_checksum.h"

namespace pitr {

static constexpr std::size_t kReadBytes = 1u << 20;

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

FileCopier::FileCopier(CopyContext context, PackWriter& pack)
    : context_(std::move(context)), pack_(pack), buffer_(kReadBytes) {}

Result<bool> FileCopier::copy(const WalkedFile& file, const CopyRange& range) {
  auto opened = File::open(file.source, O_RDONLY | O_NOFOLLOW);
  if (!opened && opened.error().kind() == ErrorKind::kNotFound) {
    const bool is_whole = range.size_bytes == file.row.size_bytes;
    if (is_whole) return false;
    TRY(add_zeros(file, range));
    return true;
  }
  const auto source = TRY(std::move(opened));
  ::posix_fadvise(source.fd(), static_cast<off_t>(range.offset),
                  static_cast<off_t>(range.size_bytes), POSIX_FADV_SEQUENTIAL);
  TRY(copy_open_file(file, source, range));
  return true;
}

Result<void> FileCopier::copy_open_file(const WalkedFile& file, const File& source,
                                        const CopyRange& range) {
  const std::uint64_t end = range.offset + range.size_bytes;
  for (std::uint64_t offset = range.offset; offset < end;) {
    const auto size = std::min<std::uint64_t>(kReadBytes, end - offset);
    if (!context_.rate_limit.wait_for(size, context_.stop)) {
      return Error::cancelled("the backup was stopped");
    }
    const MutableByteView piece = MutableByteView(buffer_).first(size);
    const auto read = TRY(source.read_at(piece, offset));
    std::fill(piece.begin() + static_cast<std::ptrdiff_t>(read), piece.end(), 0);
    if (context_.verify_checksums && file.is_relation) {
      TRY(verify(file, source, offset, read));
    }
    TRY(pack_.add(file.row.path, static_cast<std::uint32_t>(offset / kBlockSize), piece));
    context_.findings.add_read(read);
    context_.observer.advance(size);
    offset += size;
  }
  return {};
}

Result<void> FileCopier::add_zeros(const WalkedFile& file, const CopyRange& range) {
  std::ranges::fill(buffer_, 0);
  const std::uint64_t end = range.offset + range.size_bytes;
  for (std::uint64_t offset = range.offset; offset < end; offset += kReadBytes) {
    const auto size = std::min<std::uint64_t>(kReadBytes, end - offset);
    const auto block = static_cast<std::uint32_t>(offset / kBlockSize);
    TRY(pack_.add(file.row.path, block, ByteView(buffer_).first(size)));
  }
  return {};
}

// Only whole pages that were really read: a page that the file ends in was cut off by a truncation,
// which WAL replay repeats.
Result<void> FileCopier::verify(const WalkedFile& file, const File& source, std::uint64_t offset,
                                std::size_t read_bytes) {
  for (std::size_t at = 0; at + kPageSizeBytes <= read_bytes; at += kPageSizeBytes) {
    TRY(verify_page(file, source, offset + at,
                    MutableByteView(buffer_).subspan(at, kPageSizeBytes)));
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
