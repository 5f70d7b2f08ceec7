#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <optional>

#include "storage/local/filesystem.h"

namespace pitr {
namespace {

// The umask may take more away; reading by the group lets a restore run as another user.
constexpr unsigned kFileMode = 0640;
constexpr unsigned kDirectoryMode = 0750;

class PosixWritableFile final : public WritableFile {
 public:
  explicit PosixWritableFile(File file) : file_(std::move(file)) {}

  Result<void> append(ByteView bytes) override { return file_.append(bytes); }
  Result<void> sync() override { return file_.sync(); }
  Result<void> sync_data() override { return file_.sync_data(); }
  void start_writeback(std::uint64_t offset, std::uint64_t size_bytes) override {
    ::sync_file_range(file_.fd(), static_cast<off64_t>(offset), static_cast<off64_t>(size_bytes),
                      SYNC_FILE_RANGE_WRITE);
  }
  Result<void> truncate(std::uint64_t size_bytes) override { return file_.truncate(size_bytes); }

 private:
  File file_;
};

class PosixReadableFile final : public ReadableFile {
 public:
  PosixReadableFile(File file, std::uint64_t size_bytes)
      : file_(std::move(file)), size_bytes_(size_bytes) {}

  std::uint64_t size() const override { return size_bytes_; }
  Result<std::size_t> read_at(MutableByteView into, std::uint64_t offset) const override {
    return file_.read_at(into, offset);
  }
  void expect(std::uint64_t offset, std::uint64_t size_bytes) const override {
    (void)::posix_fadvise(file_.fd(), static_cast<off_t>(offset), static_cast<off_t>(size_bytes),
                          POSIX_FADV_WILLNEED);
  }

 private:
  File file_;
  std::uint64_t size_bytes_;
};

EntryKind kind_of_mode(mode_t mode) {
  if (S_ISREG(mode)) return EntryKind::kFile;
  return S_ISDIR(mode) ? EntryKind::kDirectory : EntryKind::kOther;
}

struct Owner {
  uid_t user;
  gid_t group;
};

struct CloseDirectory {
  void operator()(DIR* directory) const { ::closedir(directory); }
};

class PosixFileSystem final : public FileSystem {
 public:
  PosixFileSystem(File root, Path root_path, std::optional<Owner> owner)
      : root_(std::move(root)), root_path_(std::move(root_path)), owner_(owner) {}

  std::string shown_path(const std::string& path) const override {
    return path.empty() ? root_path_.native() : (root_path_ / path).native();
  }

  Result<std::unique_ptr<WritableFile>> create_file(const std::string& path) override {
    auto file = TRY(open_below(path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND));
    // For is_being_written(), which holds it for an instant at most.
    if (::flock(file.fd(), LOCK_EX) != 0) return failed("locking", path);
    if (owner_ && ::fchown(file.fd(), owner_->user, owner_->group) != 0) {
      return failed("giving away", path);
    }
    return std::make_unique<PosixWritableFile>(std::move(file));
  }

  Result<std::unique_ptr<ReadableFile>> open_file(const std::string& path) override {
    auto file = TRY(open_below(path, O_RDONLY | O_NONBLOCK));  // does not wait on a FIFO
    struct stat status{};
    if (::fstat(file.fd(), &status) != 0) return failed("looking at", path);
    if (!S_ISREG(status.st_mode)) {
      return Error::not_found(fmt::format("{} is not a file", shown_path(path)));
    }
    return std::make_unique<PosixReadableFile>(std::move(file),
                                               static_cast<std::uint64_t>(status.st_size));
  }

  Result<FileStatus> status(const std::string& path) override {
    struct stat status{};
    if (::fstatat(root_.fd(), relative(path), &status, 0) != 0) return failed("looking at", path);
    return FileStatus{
        kind_of_mode(status.st_mode), static_cast<std::uint64_t>(status.st_size),
        Timestamp::from_unix_us(status.st_mtim.tv_sec * 1'000'000 + status.st_mtim.tv_nsec / 1000)};
  }

  Result<bool> is_being_written(const std::string& path) override {
    const auto file = TRY(open_below(path, O_RDONLY | O_NONBLOCK));
    if (::flock(file.fd(), LOCK_SH | LOCK_NB) == 0) return false;
    if (errno == EWOULDBLOCK) return true;
    return failed("looking whether somebody writes", path);
  }

  Result<void> rename(const std::string& from, const std::string& to) override {
    if (::renameat(root_.fd(), from.c_str(), root_.fd(), to.c_str()) != 0) {
      return failed("renaming into", to);
    }
    return {};
  }

  Result<void> rename_if_absent(const std::string& from, const std::string& to) override {
    if (::renameat2(root_.fd(), from.c_str(), root_.fd(), to.c_str(), RENAME_NOREPLACE) == 0) {
      return {};
    }
    // NFS and others don't know the flag; a link fails as atomically where the name exists.
    const bool unknown = errno == EINVAL || errno == ENOSYS || errno == EOPNOTSUPP;
    if (!unknown) return failed("renaming into", to);
    if (::linkat(root_.fd(), from.c_str(), root_.fd(), to.c_str(), 0) != 0) {
      return failed("linking to", to);
    }
    ::unlinkat(root_.fd(), from.c_str(), 0);  // a leftover is cleaned up some day
    return {};
  }

  Result<void> remove_file(const std::string& path) override {
    if (::unlinkat(root_.fd(), path.c_str(), 0) != 0) return failed("removing", path);
    return {};
  }

  Result<void> make_directory(const std::string& path) override {
    if (::mkdirat(root_.fd(), path.c_str(), kDirectoryMode) != 0) return failed("creating", path);
    const bool is_given = !owner_ || ::fchownat(root_.fd(), path.c_str(), owner_->user,
                                                owner_->group, AT_SYMLINK_NOFOLLOW) == 0;
    if (!is_given) return failed("giving away", path);
    return {};
  }

  Result<void> remove_directory(const std::string& path) override {
    if (::unlinkat(root_.fd(), path.c_str(), AT_REMOVEDIR) != 0) return failed("removing", path);
    return {};
  }

  Result<void> sync_directory(const std::string& path) override {
    auto directory = TRY(open_below(path, O_RDONLY | O_DIRECTORY));
    return directory.sync();
  }

  Result<void> sync_file(const std::string& path) override {
    auto file = TRY(open_below(path, O_RDONLY));
    return file.sync();
  }

  Result<void> visit_entries(const std::string& path, const EntryVisitor& visit) override {
    const int fd = ::openat(root_.fd(), relative(path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return failed("listing", path);
    const std::unique_ptr<DIR, CloseDirectory> directory(::fdopendir(fd));
    if (!directory) {
      ::close(fd);
      return failed("listing", path);
    }
    while (true) {
      errno = 0;
      const dirent* entry = ::readdir(directory.get());
      if (!entry) break;
      const std::string_view name = entry->d_name;
      if (name == "." || name == "..") continue;
      const auto kind = kind_of_entry(fd, *entry);
      if (const int why = errno; !kind && why != ENOENT && why != ENOTDIR) {
        const auto shown = Path(shown_path(path)) / name;
        return Error::from_errno(why, "looking at " + shown.native());
      }
      if (kind && !visit(name, *kind)) return {};
    }
    if (errno != 0) return failed("listing", path);
    return {};
  }

  Result<std::uint64_t> free_bytes() override {
    struct statvfs status{};
    if (::fstatvfs(root_.fd(), &status) != 0) return failed("asking for the free space of", "");
    return static_cast<std::uint64_t>(status.f_bavail) * status.f_frsize;
  }

  Result<std::uint64_t> capacity_bytes() override {
    struct statvfs status{};
    if (::fstatvfs(root_.fd(), &status) != 0) return failed("asking for the size of", "");
    const auto blocks = std::uint64_t{status.f_blocks} - status.f_bfree + status.f_bavail;
    return blocks * status.f_frsize;
  }

 private:
  static const char* relative(const std::string& path) { return path.empty() ? "." : path.c_str(); }

  Error failed(std::string_view doing, const std::string& path) const {
    return Error::from_errno(errno, fmt::format("{} {}", doing, shown_path(path)));
  }

  Result<File> open_below(const std::string& path, int flags) {
    return File::open_at(root_.fd(), relative(path), shown_path(path), flags, kFileMode);
  }

  // nullopt: errno says why; ENOENT or ENOTDIR where it vanished, or is a link to nowhere.
  static std::optional<EntryKind> kind_of_entry(int directory_fd, const dirent& entry) {
    if (entry.d_type == DT_REG) return EntryKind::kFile;
    if (entry.d_type == DT_DIR) return EntryKind::kDirectory;
    // Symbolic links are followed, as open(2) does; some file systems don't tell the type.
    struct stat status{};
    if (::fstatat(directory_fd, entry.d_name, &status, 0) != 0) return std::nullopt;
    return kind_of_mode(status.st_mode);
  }

  File root_;
  Path root_path_;
  const std::optional<Owner> owner_;  // of what is created; none: whoever this process is
};

// Root restores, or looks: what it leaves must not keep out the user whose repository it is.
Result<std::optional<Owner>> owner_for(const File& root) {
  struct stat status{};
  if (::fstat(root.fd(), &status) != 0) return Error::from_errno(errno, "looking at the storage");
  if (::geteuid() != 0 || status.st_uid == 0) return std::optional<Owner>();
  return std::optional(Owner{status.st_uid, status.st_gid});
}

}  // namespace

Result<std::shared_ptr<FileSystem>> open_posix_filesystem(const Path& root) {
  auto directory = TRY(File::open(root, O_RDONLY | O_DIRECTORY));
  const auto owner = TRY(owner_for(directory));
  return std::make_shared<PosixFileSystem>(std::move(directory), root, owner);
}

}  // namespace pitr
