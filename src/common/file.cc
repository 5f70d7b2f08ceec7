#include "common/file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

namespace pitr {

static Error last_error(std::string_view doing, const Path& path) {
  return Error::from_errno(errno, fmt::format("{} {}", doing, path.native()));
}

UniqueFd& UniqueFd::operator=(UniqueFd&& other) noexcept {
  if (this != &other) {
    reset();
    fd_ = other.release();
  }
  return *this;
}

void UniqueFd::reset() {
  if (fd_ >= 0) ::close(std::exchange(fd_, -1));
}

Result<File> File::open(const Path& path, int flags, unsigned mode) {
  return open_at(AT_FDCWD, path.c_str(), path, flags, mode);
}

Result<File> File::open_at(int directory_fd, const char* relative_path, Path shown_path, int flags,
                           unsigned mode) {
  const int fd = ::openat(directory_fd, relative_path, flags | O_CLOEXEC, mode);
  if (fd < 0) return last_error("opening", shown_path);
  return File(UniqueFd(fd), std::move(shown_path));
}

Result<std::uint64_t> File::size() const {
  struct stat status{};
  if (::fstat(fd_.get(), &status) != 0) return last_error("reading the size of", path_);
  return static_cast<std::uint64_t>(status.st_size);
}

Result<std::size_t> File::read_at(MutableByteView into, std::uint64_t offset) const {
  std::size_t done = 0;
  while (done < into.size()) {
    const ssize_t n = ::pread(fd_.get(), into.data() + done, into.size() - done,
                              static_cast<off_t>(offset + done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return last_error("reading", path_);
    if (n == 0) break;
    done += static_cast<std::size_t>(n);
  }
  return done;
}

Result<void> File::write_at(ByteView bytes, std::uint64_t offset) {
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t n = ::pwrite(fd_.get(), bytes.data() + done, bytes.size() - done,
                               static_cast<off_t>(offset + done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return last_error("writing", path_);
    done += static_cast<std::size_t>(n);
  }
  return {};
}

Result<void> File::append(ByteView bytes) {
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t n = ::write(fd_.get(), bytes.data() + done, bytes.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return last_error("writing", path_);
    done += static_cast<std::size_t>(n);
  }
  return {};
}

Result<void> File::truncate(std::uint64_t size_bytes) {
  if (::ftruncate(fd_.get(), static_cast<off_t>(size_bytes)) != 0) {
    return last_error("truncating", path_);
  }
  return {};
}

Result<void> File::sync() {
  if (::fsync(fd_.get()) != 0) return last_error("syncing", path_);
  return {};
}

Result<void> File::sync_data() {
  if (::fdatasync(fd_.get()) != 0) return last_error("syncing", path_);
  return {};
}

Result<void> File::close() {
  if (fd_ && ::close(fd_.release()) != 0) return last_error("closing", path_);
  return {};
}

Result<Bytes> read_file(const Path& path, std::uint64_t limit_bytes) {
  auto file = TRY(File::open(path, O_RDONLY));
  const auto size = TRY(file.size());
  if (size > limit_bytes) {
    return Error::invalid(fmt::format("{} has {} bytes, more than the limit of {}", path.native(),
                                      size, limit_bytes));
  }
  Bytes bytes(size);
  const auto read = TRY(file.read_at(bytes, 0));
  bytes.resize(read);
  return bytes;
}

Result<std::string> read_text_file(const Path& path, std::uint64_t limit_bytes) {
  const auto bytes = TRY(read_file(path, limit_bytes));
  return std::string(as_text(bytes));
}

static Path parent_of(const Path& path) {
  const Path parent = path.parent_path();
  return parent.empty() ? Path(".") : parent;
}

static Result<void> write_and_sync(const Path& path, ByteView bytes, unsigned mode) {
  auto file = TRY(File::open(path, O_WRONLY | O_CREAT | O_TRUNC, mode));
  TRY(file.append(bytes));
  TRY(file.sync());
  return file.close();
}

Result<void> write_file_durably(const Path& path, ByteView bytes, unsigned mode) {
  const Path temporary = path.native() + ".tmp";
  if (auto written = write_and_sync(temporary, bytes, mode); !written) {
    ::unlink(temporary.c_str());
    return written;
  }
  if (::rename(temporary.c_str(), path.c_str()) != 0) return last_error("renaming into", path);
  return sync_directory(parent_of(path));
}

Result<void> sync_directory(const Path& path) {
  auto directory = TRY(File::open(path, O_RDONLY | O_DIRECTORY));
  return directory.sync();
}

Result<void> create_directories_durably(const Path& path, unsigned mode) {
  struct stat status{};
  if (::stat(path.c_str(), &status) == 0) {
    if (S_ISDIR(status.st_mode)) return {};
    return Error::conflict(fmt::format("{} is not a directory", path.native()));
  }
  TRY(create_directories_durably(parent_of(path), mode));
  if (::mkdir(path.c_str(), mode) != 0 && errno != EEXIST) return last_error("creating", path);
  return sync_directory(parent_of(path));
}

}  // namespace pitr
