// Objects as files below one directory: key "a/b" is the file a/b. Owned by whoever opened it;
// thread-safe, and several processes may use one directory at a time.
//
// put: a temporary file in .pitr-tmp, fsync, rename, fsync of the directory. put_if_absent: the
// same with a rename that does not replace. New directories are durable before anything goes into
// them; then they get an empty file .durable, and they're never removed again, because a process
// that found one may be about to write into it.
//
// An fsync that failed is never repeated to get a success: the object is written anew, or the error
// stands. That holds across processes: what another one left is made durable by writing it anew
// too, since nobody knows whether an fsync failed there; and an empty directory without .durable is
// made anew. What another process is appending to right now is synced in its place: it would have
// closed it after an error.
//
// All names are resolved below the directory that was opened, so a file system unmounted later
// cannot make objects look absent.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_set>

#include "common/clock.h"
#include "common/file.h"
#include "storage/local/filesystem.h"
#include "storage/storage.h"

namespace pitr {

class LocalStorage final : public Storage {
 public:
  // Makes the directory, durably, where it's missing, and opens it.
  static Result<std::unique_ptr<LocalStorage>> create(const Path& root, const Clock& clock);
  // kInvalid where root is missing or empty: most likely a file system that isn't mounted. Removes
  // temporary files that nobody has written to for a day, or has open for that. A read-only
  // directory can be opened.
  static Result<std::unique_ptr<LocalStorage>> open(const Path& root, const Clock& clock);
  // The same on another file system than the machine's.
  static Result<std::unique_ptr<LocalStorage>> create_on(std::shared_ptr<FileSystem> files,
                                                         const Clock& clock);
  static Result<std::unique_ptr<LocalStorage>> open_on(std::shared_ptr<FileSystem> files,
                                                       const Clock& clock);

  std::string description() const override;
  Result<void> put(const ObjectKey& key, ByteView bytes) override;
  Result<void> put_if_absent(const ObjectKey& key, ByteView bytes) override;
  Result<std::unique_ptr<Upload>> start_upload(const ObjectKey& key) override;
  Result<Bytes> get(const ObjectKey& key, std::uint64_t limit_bytes) override;
  Result<void> get_range(const ObjectKey& key, std::uint64_t offset, MutableByteView into) override;
  void expect_range(const ObjectKey& key, std::uint64_t offset, std::uint64_t size_bytes) override;
  Result<ObjectInfo> stat(const ObjectKey& key) override;
  Result<void> ensure_durable(const ObjectKey& key) override;
  Result<ListPage> list(std::string_view prefix, std::string_view token) override;
  Result<void> remove(const ObjectKey& key) override;
  bool supports_append() const override { return true; }
  Result<std::unique_ptr<Appender>> start_append(const ObjectKey& key) override;
  Result<std::optional<std::uint64_t>> free_bytes() override;
  Result<std::optional<std::uint64_t>> capacity_bytes() override;

 private:
  friend class LocalUpload;
  friend class LocalAppender;

  explicit LocalStorage(std::shared_ptr<FileSystem> files);
  void remove_old_temporary_files(Timestamp before);
  std::string next_temporary_path();
  Result<void> put_whole(const ObjectKey& key, ByteView bytes, bool only_if_absent);
  // Every directory above path exists, durably, afterwards.
  Result<void> make_parents(const std::string& path);
  Result<void> make_durable_directory(const std::string& directory);
  Result<void> make_directory_anew(const std::string& directory);
  bool is_known_durable(const std::string& directory);
  Result<void> sync_directory_of(const std::string& path);
  Result<void> sync_directory(const std::string& directory);
  // A write's result without kNotFound, which would say that the object is proven absent: it's a
  // directory or the temporary file that has vanished, and the next attempt makes them anew.
  Result<void> checked_write(Result<void> result);
  void suspect(const std::string& path);
  bool is_suspect(const std::string& path);
  // This process has made all of the object durable that it wrote, and can tell what it knows of
  // it.
  void own(const std::string& path);
  bool is_own(const std::string& path);
  // Copies an object over itself, so that all of it is synced afresh.
  Result<void> write_anew(const ObjectKey& key);

  const std::shared_ptr<FileSystem> files_;
  const std::string process_name_;  // makes temporary names unique among processes
  std::atomic<std::uint64_t> next_temporary_ = 0;

  std::mutex making_mutex_;  // held while a directory is made; taken before mutex_
  std::mutex mutex_;
  std::unordered_set<std::string> durable_directories_;  // they exist and survive; guarded
  // Files and directories whose fsync failed once: what was dirty in them then may be lost though a
  // later fsync succeeds. Guarded.
  std::unordered_set<std::string> suspects_;
  // Objects that this process wrote; some may be missing. Guarded.
  std::unordered_set<std::string> own_objects_;
};

}  // namespace pitr
