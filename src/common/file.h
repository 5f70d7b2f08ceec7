// Files and directories: owned descriptors, whole reads and writes, and the sequences that make a
// change durable (POSIX: fsync the file, rename, fsync the directory).
//
// An fsync that failed is never repeated on the same descriptor: Linux drops the dirty pages, and
// the second call would report success (see PostgreSQL's "fsyncgate"). Callers write again instead.
// A File may be used by several threads only through the positioned calls (read_at, write_at).
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "common/bytes.h"
#include "common/result.h"

namespace pitr {

using Path = std::filesystem::path;

class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(other.release()) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept;
  ~UniqueFd() { reset(); }

  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  int release() { return std::exchange(fd_, -1); }
  void reset();

 private:
  int fd_ = -1;
};

class File {
 public:
  // flags and mode as open(2) takes them; O_CLOEXEC is added.
  static Result<File> open(const Path& path, int flags, unsigned mode = 0600);
  // The same, relative to an open directory; shown_path is what messages say.
  static Result<File> open_at(int directory_fd, const char* relative_path, Path shown_path,
                              int flags, unsigned mode = 0600);

  int fd() const { return fd_.get(); }
  const Path& path() const { return path_; }
  Result<std::uint64_t> size() const;

  // Reads until the buffer is full or the file ends; returns the bytes read.
  Result<std::size_t> read_at(MutableByteView into, std::uint64_t offset) const;
  Result<void> write_at(ByteView bytes, std::uint64_t offset);
  Result<void> append(ByteView bytes);  // write(2) at the file's own position
  Result<void> truncate(std::uint64_t size_bytes);
  Result<void> sync();       // fsync
  Result<void> sync_data();  // fdatasync
  // Reports close(2)'s error; the destructor cannot.
  Result<void> close();

 private:
  File(UniqueFd fd, Path path) : fd_(std::move(fd)), path_(std::move(path)) {}
  UniqueFd fd_;
  Path path_;
};

Result<Bytes> read_file(const Path& path, std::uint64_t limit_bytes = 1ull << 30);
Result<std::string> read_text_file(const Path& path, std::uint64_t limit_bytes = 64ull << 20);

// Writes path.tmp, syncs, renames over path and syncs the directory. After success the file is
// there, whole, after power loss too; after failure the old one is.
Result<void> write_file_durably(const Path& path, ByteView bytes, unsigned mode = 0600);

Result<void> sync_directory(const Path& path);
// mkdir -p; every directory that was made is durable in its parent.
Result<void> create_directories_durably(const Path& path, unsigned mode = 0700);

}  // namespace pitr
