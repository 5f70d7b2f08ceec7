#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <cerrno>
#include <map>
#include <system_error>

#include "restore/files/target_directory.h"

namespace pitr {

namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kFileSystemBlock = 4096;

struct FileSystemNeed {
  Path shown;
  std::uint64_t needed_bytes = 0;
  std::uint64_t freed_bytes = 0;
};

// The path itself or the nearest directory above it that exists.
Path nearest_existing(Path path) {
  std::error_code failure;
  while (!fs::exists(path, failure) && path.has_parent_path() && path != path.parent_path()) {
    path = path.parent_path();
  }
  return path;
}

std::uint64_t size_on_disk(const Path& directory) {
  std::uint64_t bytes = 0;
  std::error_code failure;
  auto iterator = fs::recursive_directory_iterator(directory, failure);
  for (; !failure && iterator != fs::recursive_directory_iterator(); iterator.increment(failure)) {
    struct stat info{};
    if (::lstat(iterator->path().c_str(), &info) == 0 && S_ISREG(info.st_mode)) {
      bytes += static_cast<std::uint64_t>(info.st_blocks) * 512;
    }
  }
  return bytes;
}

std::string gibibytes(std::uint64_t bytes) {
  return fmt::format("{:.2f} GiB", static_cast<double>(bytes) / (1 << 30));
}

}  // namespace

Result<void> check_disk_space(const Path& data_directory,
                              const std::vector<TablespacePlace>& tablespaces,
                              const std::vector<FileRow>& files) {
  std::map<std::string, const TablespacePlace*> by_prefix;
  for (const auto& place : tablespaces) {
    if (!place.location.empty()) by_prefix[fmt::format("pg_tblspc/{}/", place.oid)] = &place;
  }
  std::map<Path, std::uint64_t> needed_in{{data_directory, 0}};
  for (const auto& file : files) {
    Path place = data_directory;
    for (const auto& [prefix, tablespace] : by_prefix) {
      if (file.path.starts_with(prefix)) place = tablespace->location;
    }
    needed_in[place] +=
        (file.size_bytes + kFileSystemBlock - 1) / kFileSystemBlock * kFileSystemBlock;
  }

  std::map<dev_t, FileSystemNeed> needs;
  for (const auto& [place, bytes] : needed_in) {
    const auto existing = nearest_existing(place);
    struct stat info{};
    if (::stat(existing.c_str(), &info) != 0) return Error::from_errno(errno, existing.string());
    auto& need = needs[info.st_dev];
    if (need.shown.empty()) need.shown = existing;
    need.needed_bytes += bytes;
    if (existing == place) need.freed_bytes += size_on_disk(place);
  }
  for (const auto& [device, need] : needs) {
    struct statvfs space{};
    if (::statvfs(need.shown.c_str(), &space) != 0) {
      return Error::from_errno(errno, need.shown.string());
    }
    const std::uint64_t free_bytes = std::uint64_t{space.f_bavail} * space.f_frsize;
    if (need.needed_bytes > free_bytes + need.freed_bytes) {
      return Error::invalid(fmt::format("the restore needs {} in {}, and {} are free there",
                                        gibibytes(need.needed_bytes), need.shown.string(),
                                        gibibytes(free_bytes + need.freed_bytes)))
          .with_hint("make room, or choose another --target-dir or --tablespace-map");
    }
  }
  return {};
}

}  // namespace pitr
