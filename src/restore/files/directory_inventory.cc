#include "restore/files/directory_inventory.h"

#include <dirent.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <system_error>

#include "restore/recovery/recovery_plan.h"

namespace pitr {

namespace {

namespace fs = std::filesystem;

class Inventory {
 public:
  Inventory(const InventoryRequest& request, std::span<const FileRow> rows,
            const std::function<bool(const FileRow&)>& is_wanted)
      : request_(request), rows_(rows), is_wanted_(is_wanted) {
    result_.sizes.resize(rows.size());
  }
  Result<DirectoryInventory> take();

 private:
  // inside: the path in the backup, "" for the data directory itself.
  Result<void> directory(const Path& place, const std::string& inside);
  Result<void> entry(const Path& path, const std::string& inside);
  Result<void> link(const Path& path, const std::string& inside, const FileRow* row);
  Result<void> tablespace_link(const Path& path, const TablespacePlace* place);
  Result<void> tablespace(const TablespacePlace& place);
  const FileRow* find(const std::string& path) const;
  static bool is_passed_over(const std::string& inside);
  void add_extra(const Path& path) { result_.extra.push_back(path); }

  const InventoryRequest& request_;
  const std::span<const FileRow> rows_;
  const std::function<bool(const FileRow&)>& is_wanted_;
  DirectoryInventory result_;
};

const FileRow* Inventory::find(const std::string& path) const {
  const auto found = std::ranges::lower_bound(rows_, path, {}, &FileRow::path);
  if (found == rows_.end() || found->path != path || !is_wanted_(*found)) return nullptr;
  return &*found;
}

// lost+found: the data directory, or pg_wal, may be a mount point.
bool Inventory::is_passed_over(const std::string& inside) {
  return inside == kRestoreDirectory || inside == "global/pg_control" || inside == "lost+found" ||
         inside == "pg_wal/lost+found";
}

Result<void> Inventory::directory(const Path& place, const std::string& inside) {
  std::unique_ptr<DIR, int (*)(DIR*)> directory(::opendir(place.c_str()), ::closedir);
  if (!directory) return Error::from_errno(errno, "listing " + place.string());
  while (true) {
    errno = 0;
    const dirent* found = ::readdir(directory.get());
    if (found == nullptr) break;
    const std::string name = found->d_name;
    if (name == "." || name == "..") continue;
    TRY(entry(place / name, inside.empty() ? name : inside + "/" + name));
  }
  if (errno != 0) return Error::from_errno(errno, "listing " + place.string());
  return {};
}

Result<void> Inventory::entry(const Path& path, const std::string& inside) {
  if (is_passed_over(inside)) return {};
  ++result_.entries;
  struct stat info{};
  if (::lstat(path.c_str(), &info) != 0) {
    return Error::from_errno(errno, "looking at " + path.string());
  }
  const auto* row = find(inside);
  if (S_ISLNK(info.st_mode)) return link(path, inside, row);
  // Where a tablespace's link belongs, a directory has been put: find() knows only its row.
  const bool is_tablespace = std::ranges::any_of(request_.tablespaces, [&](const auto& place) {
    return !place.location.empty() && inside == fmt::format("pg_tblspc/{}", place.oid);
  });
  if (!row || is_tablespace) {
    // Needed as it is, although a backup may not list it.
    if (inside == "pg_tblspc" && S_ISDIR(info.st_mode)) return directory(path, inside);
    add_extra(path);
    return {};
  }
  if (row->type == FileType::kDirectory && S_ISDIR(info.st_mode)) return directory(path, inside);
  if (row->type != FileType::kFile || !S_ISREG(info.st_mode)) {
    add_extra(path);
    return {};
  }
  // Writing into a file that has another name would change that one too: a hard-linked snapshot, or
  // the old cluster of pg_upgrade --link.
  if (info.st_nlink > 1) {
    add_extra(path);
    return {};
  }
  result_.sizes[static_cast<std::size_t>(row - rows_.data())] =
      static_cast<std::uint64_t>(info.st_size);
  return {};
}

Result<void> Inventory::link(const Path& path, const std::string& inside, const FileRow* row) {
  if (inside.starts_with("pg_tblspc/") && inside.rfind('/') == inside.find('/')) {
    const auto place = std::ranges::find_if(request_.tablespaces, [&](const auto& candidate) {
      return !candidate.location.empty() && inside == fmt::format("pg_tblspc/{}", candidate.oid);
    });
    return tablespace_link(path, place == request_.tablespaces.end() ? nullptr : &*place);
  }
  std::error_code failure;
  if (row && row->type == FileType::kSymlink &&
      fs::read_symlink(path, failure) == Path(row->link_target)) {
    return {};
  }
  const bool keeps_wal = inside == "pg_wal" && request_.is_own && row &&
                         row->type == FileType::kDirectory && fs::is_directory(path, failure);
  if (keeps_wal) return directory(path, inside);
  add_extra(path);
  return {};
}

Result<void> Inventory::tablespace_link(const Path& path, const TablespacePlace* place) {
  std::error_code failure;
  const auto target = fs::read_symlink(path, failure);
  if (failure) return Error::from_errno(failure.value(), "reading the link " + path.string());
  if (place && target.lexically_normal() == place->location) return {};
  // Of this cluster and unknown to the backup: made, or moved here, since. Another version's
  // directory beside it is another cluster's. Removed before the link, by which it is found.
  const bool is_filled = std::ranges::any_of(request_.tablespaces, [&](const auto& other) {
    return other.location == target.lexically_normal();
  });
  const auto versions = target / request_.version_directory;
  if (request_.is_own && !is_filled && target.is_absolute() &&
      fs::is_directory(fs::symlink_status(versions, failure))) {
    add_extra(versions);
  }
  add_extra(path);
  return {};
}

Result<void> Inventory::tablespace(const TablespacePlace& place) {
  const auto path = place.location / request_.version_directory;
  struct stat info{};
  if (::lstat(path.c_str(), &info) != 0) {
    if (errno == ENOENT || errno == ENOTDIR) return {};
    return Error::from_errno(errno, "looking at " + path.string());
  }
  const auto inside = fmt::format("pg_tblspc/{}/{}", place.oid, request_.version_directory);
  if (!S_ISDIR(info.st_mode) || !find(inside)) {
    add_extra(path);
    return {};
  }
  return directory(path, inside);
}

Result<DirectoryInventory> Inventory::take() {
  struct stat info{};
  if (::stat(request_.data_directory.c_str(), &info) != 0) {
    if (errno == ENOENT) return std::move(result_);
    return Error::from_errno(errno, request_.data_directory.string());
  }
  TRY(directory(request_.data_directory, ""));
  for (const auto& place : request_.tablespaces) {
    if (!place.location.empty()) TRY(tablespace(place));
  }
  return std::move(result_);
}

}  // namespace

Result<DirectoryInventory> take_inventory(const InventoryRequest& request,
                                          std::span<const FileRow> rows,
                                          const std::function<bool(const FileRow&)>& is_wanted) {
  return Inventory(request, rows, is_wanted).take();
}

}  // namespace pitr
