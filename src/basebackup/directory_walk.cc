#include "basebackup/directory_walk.h"

#include <dirent.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <memory>

#include "postgres/data_directory.h"
#include "postgres/page_checksum.h"

namespace pitr {

namespace {

constexpr std::string_view kControlFile = "global/pg_control";

struct Entry {
  std::string name;
  EntryKind kind = EntryKind::kOther;
  struct stat status{};
};

EntryKind kind_of(mode_t mode) {
  if (S_ISREG(mode)) return EntryKind::kFile;
  if (S_ISDIR(mode)) return EntryKind::kDirectory;
  if (S_ISLNK(mode)) return EntryKind::kSymlink;
  return EntryKind::kOther;
}

Timestamp modified(const struct stat& status) {
  return Timestamp::from_unix_us(status.st_mtim.tv_sec * 1'000'000 + status.st_mtim.tv_nsec / 1000);
}

// Entries that vanish while they're listed were dropped: WAL replay drops them again.
Result<std::vector<Entry>> list_directory(const Path& path) {
  std::unique_ptr<DIR, int (*)(DIR*)> directory(::opendir(path.c_str()), ::closedir);
  if (!directory) return Error::from_errno(errno, "listing " + path.native());
  std::vector<Entry> entries;
  while (true) {
    errno = 0;
    const dirent* found = ::readdir(directory.get());
    if (found == nullptr) break;
    Entry entry;
    entry.name = found->d_name;
    if (entry.name == "." || entry.name == "..") continue;
    const Path child = path / entry.name;
    if (::lstat(child.c_str(), &entry.status) != 0) {
      if (errno == ENOENT) continue;
      return Error::from_errno(errno, "looking at " + child.native());
    }
    entry.kind = kind_of(entry.status.st_mode);
    entries.push_back(std::move(entry));
  }
  if (errno != 0) return Error::from_errno(errno, "listing " + path.native());
  std::ranges::sort(entries, {}, &Entry::name);
  return entries;
}

class Walk {
 public:
  Walk(int server_major, WalkedDirectory& result) : server_major_(server_major), result_(result) {}

  // `inside` is the path in the backup, "" for the data directory itself.
  Result<void> directory(const Path& source, const std::string& inside);
  void add_directory(const std::string& inside, const struct stat& status);

 private:
  using Place = std::optional<RelationDirectory>;
  Result<void> entry(const Path& source, const std::string& inside, const Entry& entry,
                     const UnloggedRelations& unlogged, const Place& place);
  void add_file(const Path& source, std::string inside, const Entry& entry, const Place& place,
                const std::optional<RelationFileName>& relation);

  const int server_major_;
  WalkedDirectory& result_;
};

Result<void> Walk::directory(const Path& source, const std::string& inside) {
  auto listed = list_directory(source);
  if (!listed && listed.error().kind() == ErrorKind::kNotFound && !inside.empty()) return {};
  const auto entries = TRY(std::move(listed));
  const auto place = parse_relation_directory(inside);
  UnloggedRelations unlogged;
  if (place) {
    for (const auto& found : entries) unlogged.add_entry(found.name);
    unlogged.finish();
  }
  for (const auto& found : entries) {
    TRY(entry(source, inside, found, unlogged, place));
  }
  return {};
}

Result<void> Walk::entry(const Path& source, const std::string& inside, const Entry& entry,
                         const UnloggedRelations& unlogged, const Place& place) {
  const std::string path = inside.empty() ? entry.name : inside + "/" + entry.name;
  switch (backup_rule(inside, entry.name, entry.kind, server_major_)) {
    case BackupRule::kSkip:
    case BackupRule::kTablespaceLink:
      return {};
    case BackupRule::kDirectoryOnly:
      add_directory(path, entry.status);
      return {};
    case BackupRule::kInclude:
      break;
  }
  if (entry.kind == EntryKind::kDirectory) {
    add_directory(path, entry.status);
    return directory(source / entry.name, path);
  }
  if (entry.kind != EntryKind::kFile || path == kControlFile) return {};
  const auto relation = place ? parse_relation_file_name(entry.name) : std::nullopt;
  if (relation && unlogged.must_skip(*relation)) return {};
  add_file(source / entry.name, path, entry, place, relation);
  return {};
}

void Walk::add_directory(const std::string& inside, const struct stat& status) {
  FileRow row;
  row.path = inside;
  row.type = FileType::kDirectory;
  // What becomes a directory may have been a link, whose own mode says nothing.
  row.mode = S_ISDIR(status.st_mode) ? status.st_mode & 07777 : 0700;
  row.modified = modified(status);
  result_.directories.push_back(std::move(row));
}

void Walk::add_file(const Path& source, std::string inside, const Entry& entry, const Place& place,
                    const std::optional<RelationFileName>& relation) {
  WalkedFile file;
  file.row.path = std::move(inside);
  file.row.mode = entry.status.st_mode & 07777;
  file.row.size_bytes = static_cast<std::uint64_t>(entry.status.st_size);
  file.row.modified = modified(entry.status);
  file.source = source;
  if (relation) {
    file.is_relation = true;
    file.segment = relation->segment;
    file.first_block_in_fork = relation->segment * kRelationSegmentBlocks;
    if (relation->fork == Fork::kMain && !relation->temporary_backend) {
      file.main_fork = wal::RelationId{place->tablespace, place->database, relation->number};
    }
  }
  result_.total_bytes += file.row.size_bytes;
  result_.files.push_back(std::move(file));
}

}  // namespace

static Result<void> walk_tablespace(Walk& walk, const TablespaceInfo& tablespace,
                                    const std::string& version_directory) {
  const Path location = tablespace.location;
  const std::string inside = fmt::format("pg_tblspc/{}", tablespace.oid);
  struct stat status{};
  if (::stat(location.c_str(), &status) != 0) {
    return Error::from_errno(
        errno, fmt::format("looking at tablespace {} in {}", tablespace.oid, location.native()));
  }
  walk.add_directory(inside, status);
  const Path version_path = location / version_directory;
  if (::stat(version_path.c_str(), &status) != 0) {
    return Error::from_errno(errno, "looking at " + version_path.native());
  }
  walk.add_directory(inside + "/" + version_directory, status);
  return walk.directory(version_path, inside + "/" + version_directory);
}

Result<WalkedDirectory> walk_data_directory(const Path& data_directory,
                                            const std::vector<TablespaceInfo>& tablespaces,
                                            int server_major, std::uint32_t catalog_version) {
  WalkedDirectory result;
  Walk walk(server_major, result);
  TRY(walk.directory(data_directory, ""));
  struct stat status{};
  status.st_mode = S_IFDIR | 0700;
  for (const auto& path : required_wal_directories(server_major)) {
    walk.add_directory(path, status);
  }
  const auto version_directory = tablespace_version_directory(server_major, catalog_version);
  for (const auto& tablespace : tablespaces) {
    if (tablespace.location.empty()) continue;  // in place: was found in the data directory
    TRY(walk_tablespace(walk, tablespace, version_directory));
  }
  return result;
}

}  // namespace pitr
