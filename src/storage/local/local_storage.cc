#include "storage/local/local_storage.h"

#include <fmt/format.h>

#include <random>

#include "storage/local/listing.h"
#include "storage/local/local_writers.h"

namespace pitr {

static constexpr std::size_t kListPageSize = 1000;
static constexpr auto kTemporaryFileLife = std::chrono::hours(24);
static const std::string kTemporaryDirectory = ".pitr-tmp";
static constexpr std::string_view kDurableMark = ".durable";
static constexpr std::size_t kMostOwnObjects = 50'000;  // forgotten then: they'd be copied once

static std::string mark_of(const std::string& directory) {
  return fmt::format("{}/{}", directory, kDurableMark);
}

static std::string parent_of(const std::string& path) {
  const auto slash = path.rfind('/');
  return slash == std::string::npos ? std::string() : path.substr(0, slash);
}

Result<std::unique_ptr<LocalStorage>> LocalStorage::create(const Path& root, const Clock& clock) {
  TRY(create_directories_durably(root, 0750));
  auto files = TRY(open_posix_filesystem(root));
  return create_on(std::move(files), clock);
}

Result<std::unique_ptr<LocalStorage>> LocalStorage::open(const Path& root, const Clock& clock) {
  auto files = open_posix_filesystem(root);
  if (!files && files.error().kind() == ErrorKind::kNotFound) {
    return Error::invalid(fmt::format("the directory {} does not exist", root.native()))
        .with_hint("is its file system mounted? pitr init makes a new repository");
  }
  if (!files) return std::move(files).error();
  return open_on(std::move(files).value(), clock);
}

Result<std::unique_ptr<LocalStorage>> LocalStorage::create_on(std::shared_ptr<FileSystem> files,
                                                              const Clock& clock) {
  const auto made = files->make_directory(kTemporaryDirectory);
  if (!made && made.error().kind() != ErrorKind::kConflict) return made.error();
  TRY(files->sync_directory(""));
  return open_on(std::move(files), clock);
}

Result<std::unique_ptr<LocalStorage>> LocalStorage::open_on(std::shared_ptr<FileSystem> files,
                                                            const Clock& clock) {
  bool is_empty = true;
  TRY(files->visit_entries("", [&](std::string_view, EntryKind) {
    is_empty = false;
    return false;
  }));
  if (is_empty) {
    return Error::invalid(fmt::format("the directory {} is empty", files->shown_path("")))
        .with_hint("is its file system mounted? pitr init makes a new repository");
  }
  // Copies of a repository may lack it. Where this fails the directory is read-only: so it's used.
  (void)files->make_directory(kTemporaryDirectory);
  std::unique_ptr<LocalStorage> storage(new LocalStorage(std::move(files)));
  storage->remove_old_temporary_files(clock.now() - kTemporaryFileLife);
  return storage;
}

static std::string random_name() {
  std::random_device random;
  return fmt::format("{:08x}{:08x}", random(), random());
}

LocalStorage::LocalStorage(std::shared_ptr<FileSystem> files)
    : files_(std::move(files)), process_name_(random_name()) {}

void LocalStorage::remove_old_temporary_files(Timestamp before) {
  std::vector<std::string> names;
  (void)files_->visit_entries(kTemporaryDirectory, [&](std::string_view name, EntryKind kind) {
    if (kind == EntryKind::kFile) names.emplace_back(name);
    return true;
  });
  for (const auto& name : names) {
    const std::string path = kTemporaryDirectory + "/" + name;
    const auto status = files_->status(path);
    if (!status || status->modified >= before) continue;
    // An upload may wait for its next bytes for days; where nobody can tell, it stays.
    const auto is_written = files_->is_being_written(path);
    if (is_written && !*is_written) (void)files_->remove_file(path);
  }
}

std::string LocalStorage::description() const {
  return "directory " + files_->shown_path("");
}

std::string LocalStorage::next_temporary_path() {
  return fmt::format("{}/{}-{}", kTemporaryDirectory, process_name_, ++next_temporary_);
}

Result<void> LocalStorage::put(const ObjectKey& key, ByteView bytes) {
  return put_whole(key, bytes, false);
}

Result<void> LocalStorage::put_if_absent(const ObjectKey& key, ByteView bytes) {
  return put_whole(key, bytes, true);
}

Result<void> LocalStorage::put_whole(const ObjectKey& key, ByteView bytes, bool only_if_absent) {
  auto upload = TRY(LocalUpload::start(*this, key));
  TRY(upload->write(bytes));
  return upload->publish(only_if_absent);
}

Result<std::unique_ptr<Upload>> LocalStorage::start_upload(const ObjectKey& key) {
  return TRY(LocalUpload::start(*this, key));
}

Result<std::unique_ptr<Appender>> LocalStorage::start_append(const ObjectKey& key) {
  return TRY(LocalAppender::start(*this, key));
}

Result<Bytes> LocalStorage::get(const ObjectKey& key, std::uint64_t limit_bytes) {
  const auto file = TRY(files_->open_file(key.text()));
  if (file->size() > limit_bytes) {
    return Error::invalid(fmt::format("{} has {} bytes, more than the limit of {}",
                                      files_->shown_path(key.text()), file->size(), limit_bytes));
  }
  Bytes bytes(file->size());
  const auto size = TRY(file->read_at(bytes, 0));
  bytes.resize(size);
  return bytes;
}

Result<void> LocalStorage::get_range(const ObjectKey& key, std::uint64_t offset,
                                     MutableByteView into) {
  const auto file = TRY(files_->open_file(key.text()));
  bool is_whole = offset <= file->size() && into.size() <= file->size() - offset;
  if (is_whole) is_whole = TRY(file->read_at(into, offset)) == into.size();
  if (is_whole) return {};
  return Error::corrupt(fmt::format("{} ends at {}, before {} bytes at {}",
                                    files_->shown_path(key.text()), file->size(), into.size(),
                                    offset));
}

void LocalStorage::expect_range(const ObjectKey& key, std::uint64_t offset,
                                std::uint64_t size_bytes) {
  const auto file = files_->open_file(key.text());
  if (file) (*file)->expect(offset, size_bytes);
}

Result<ObjectInfo> LocalStorage::stat(const ObjectKey& key) {
  const auto status = TRY(files_->status(key.text()));
  if (status.kind != EntryKind::kFile) {
    return Error::not_found(fmt::format("{} is not a file", files_->shown_path(key.text())));
  }
  return ObjectInfo{key, status.size_bytes, status.modified};
}

Result<ListPage> LocalStorage::list(std::string_view prefix, std::string_view token) {
  return list_files(*files_, prefix, token, kListPageSize);
}

Result<void> LocalStorage::remove(const ObjectKey& key) {
  const auto removed = files_->remove_file(key.text());
  // kInvalid: a directory has this name, so no object has.
  const bool is_absent = !removed && (removed.error().kind() == ErrorKind::kNotFound ||
                                      removed.error().kind() == ErrorKind::kInvalid);
  return is_absent ? Result<void>() : removed;
}

Result<void> LocalStorage::ensure_durable(const ObjectKey& key) {
  const std::string& path = key.text();
  TRY(stat(key));
  TRY(checked_write(make_parents(path)));
  const bool is_trusted = is_own(path) && !is_suspect(path) && !is_suspect(parent_of(path));
  // Who is appending to it would go on writing into the file that was replaced.
  if (!is_trusted && !TRY(files_->is_being_written(path))) return write_anew(key);
  auto synced = files_->sync_file(path);
  if (!synced) {
    suspect(path);
    return synced;
  }
  return sync_directory_of(path);
}

Result<void> LocalStorage::write_anew(const ObjectKey& key) {
  const auto file = TRY(files_->open_file(key.text()));
  auto upload = TRY(LocalUpload::start(*this, key));
  Bytes buffer(1 << 20);
  for (std::uint64_t offset = 0;;) {
    const auto size = TRY(file->read_at(buffer, offset));
    if (size == 0) break;
    TRY(upload->write(ByteView(buffer).first(size)));
    offset += size;
  }
  TRY(upload->commit());
  const std::lock_guard lock(mutex_);
  suspects_.erase(key.text());
  return {};
}

Result<void> LocalStorage::make_parents(const std::string& path) {
  const std::string directory = parent_of(path);
  if (directory.empty() || is_known_durable(directory)) return {};
  const std::lock_guard one_at_a_time(making_mutex_);
  // From the top.
  for (std::size_t slash = 0; slash != std::string::npos;) {
    slash = directory.find('/', slash + 1);
    const std::string above = directory.substr(0, slash);
    if (!is_known_durable(above)) TRY(make_durable_directory(above));
  }
  return {};
}

// With making_mutex_ held.
Result<void> LocalStorage::make_durable_directory(const std::string& directory) {
  const std::string parent = parent_of(directory);
  if (is_suspect(parent)) {
    return Error::transient(fmt::format("{} cannot be relied upon: syncing {} failed before",
                                        files_->shown_path(directory), files_->shown_path(parent)))
        .with_hint("check the disk, then restart pitr");
  }
  auto made = files_->make_directory(directory);
  if (!made && made.error().kind() != ErrorKind::kConflict) return made;
  if (!made) {
    if (TRY(files_->status(directory)).kind != EntryKind::kDirectory) {
      return Error::invalid(
          fmt::format("{} is a file, not a directory", files_->shown_path(directory)));
    }
    if (!files_->status(mark_of(directory))) TRY(make_directory_anew(directory));
  }
  if (!files_->status(mark_of(directory))) {
    TRY(sync_directory(parent));
    const auto marked = files_->create_file(mark_of(directory));
    // Another process is making it anew: the next attempt finds out.
    if (!marked && marked.error().kind() != ErrorKind::kConflict) {
      return checked_write(marked.error());
    }
    // And may have done so just before the mark.
    TRY(sync_directory(parent));
  }
  const std::lock_guard lock(mutex_);
  durable_directories_.insert(directory);
  return {};
}

// Whoever made it has not said that it is durable: it was killed, or its sync failed, and a sync
// now would bring nothing back. Nothing is in it then; where something is, it's older than marks,
// or its mark was lost with the power, which it survived itself.
Result<void> LocalStorage::make_directory_anew(const std::string& directory) {
  auto removed = files_->remove_directory(directory);
  if (!removed) {
    const bool is_used = removed.error().kind() == ErrorKind::kConflict;
    return is_used || removed.error().kind() == ErrorKind::kNotFound ? Result<void>() : removed;
  }
  auto made = files_->make_directory(directory);
  if (!made && made.error().kind() != ErrorKind::kConflict) return made;
  return {};
}

bool LocalStorage::is_known_durable(const std::string& directory) {
  const std::lock_guard lock(mutex_);
  return durable_directories_.contains(directory);
}

Result<void> LocalStorage::sync_directory_of(const std::string& path) {
  return sync_directory(parent_of(path));
}

Result<void> LocalStorage::sync_directory(const std::string& directory) {
  auto synced = files_->sync_directory(directory);
  if (!synced) suspect(directory);
  return synced;
}

Result<void> LocalStorage::checked_write(Result<void> result) {
  if (result || result.error().kind() != ErrorKind::kNotFound) return result;
  const std::lock_guard lock(mutex_);
  durable_directories_.clear();
  return Error::transient(result.error().message())
      .with_hint("has something else removed files below this directory?");
}

void LocalStorage::own(const std::string& path) {
  const std::lock_guard lock(mutex_);
  if (own_objects_.size() >= kMostOwnObjects) own_objects_.clear();
  own_objects_.insert(path);
}

bool LocalStorage::is_own(const std::string& path) {
  const std::lock_guard lock(mutex_);
  return own_objects_.contains(path);
}

void LocalStorage::suspect(const std::string& path) {
  const std::lock_guard lock(mutex_);
  suspects_.insert(path);
}

bool LocalStorage::is_suspect(const std::string& path) {
  const std::lock_guard lock(mutex_);
  return suspects_.contains(path);
}

Result<std::optional<std::uint64_t>> LocalStorage::free_bytes() {
  const auto bytes = TRY(files_->free_bytes());
  return std::optional<std::uint64_t>(bytes);
}

Result<std::optional<std::uint64_t>> LocalStorage::capacity_bytes() {
  const auto bytes = TRY(files_->capacity_bytes());
  return std::optional<std::uint64_t>(bytes);
}

}  // namespace pitr
