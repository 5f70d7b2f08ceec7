#include "storage/local/local_writers.h"

#include <fmt/format.h>

#include <algorithm>

#include "storage/local/local_storage.h"

namespace pitr {

// Bytes go to the disk in steps of this while more arrive, so that the fsync at the end has little
// left to wait for.
static constexpr std::uint64_t kWritebackBytes = 1 << 20;

Result<std::unique_ptr<LocalUpload>> LocalUpload::start(LocalStorage& storage,
                                                        const ObjectKey& key) {
  std::string path = storage.next_temporary_path();
  auto file = storage.files_->create_file(path);
  if (!file) return storage.checked_write(std::move(file).error()).error();
  return std::unique_ptr<LocalUpload>(
      new LocalUpload(storage, key, std::move(path), std::move(file).value()));
}

LocalUpload::LocalUpload(LocalStorage& storage, const ObjectKey& key, std::string temporary_path,
                         std::unique_ptr<WritableFile> file)
    : storage_(storage),
      key_(key),
      temporary_path_(std::move(temporary_path)),
      file_(std::move(file)) {}

LocalUpload::~LocalUpload() {
  file_.reset();
  if (temporary_exists_) (void)storage_.files_->remove_file(temporary_path_);
}

static Error ended_error(const ObjectKey& key) {
  return Error::invalid(fmt::format("writing {} has ended or failed before", key.text()));
}

Result<void> LocalUpload::write(ByteView bytes) {
  if (!file_) return ended_error(key_);
  while (!bytes.empty()) {
    const ByteView step = bytes.first(std::min<std::size_t>(bytes.size(), kWritebackBytes));
    auto written = file_->append(step);
    if (!written) {
      file_.reset();
      return written;
    }
    written_bytes_ += step.size();
    bytes = bytes.subspan(step.size());
    start_writeback();
  }
  return {};
}

void LocalUpload::start_writeback() {
  const std::uint64_t size = written_bytes_ - writeback_started_bytes_;
  if (size < kWritebackBytes) return;
  file_->start_writeback(writeback_started_bytes_, size);
  writeback_started_bytes_ += size;
}

Result<void> LocalUpload::publish(bool only_if_absent) {
  if (!file_) return ended_error(key_);
  auto published = storage_.checked_write(try_publish(only_if_absent));
  file_.reset();
  return published;
}

Result<void> LocalUpload::try_publish(bool only_if_absent) {
  const std::string& path = key_.text();
  FileSystem& files = *storage_.files_;
  TRY(file_->sync());
  TRY(storage_.make_parents(path));
  auto renamed = only_if_absent ? files.rename_if_absent(temporary_path_, path)
                                : files.rename(temporary_path_, path);
  if (!renamed && only_if_absent && renamed.error().kind() == ErrorKind::kConflict) {
    // Who wrote it may not have got as far as the directory's sync.
    TRY(storage_.ensure_durable(key_));
    return Error::conflict(fmt::format("{} exists already", files.shown_path(path)));
  }
  TRY(std::move(renamed));
  temporary_exists_ = false;
  TRY(storage_.sync_directory_of(path));
  storage_.own(path);
  return {};
}

Result<std::unique_ptr<LocalAppender>> LocalAppender::start(LocalStorage& storage,
                                                            const ObjectKey& key) {
  const std::string& path = key.text();
  TRY(storage.checked_write(storage.make_parents(path)));
  // Under its name it is there only while it's open, or whole: see FileSystem::is_being_written().
  const std::string temporary_path = storage.next_temporary_path();
  auto file = storage.files_->create_file(temporary_path);
  if (!file) return storage.checked_write(std::move(file).error()).error();
  std::unique_ptr<LocalAppender> appender(new LocalAppender(storage, key, std::move(file).value()));
  auto begun = appender->file_->sync();
  if (begun) begun = storage.files_->rename_if_absent(temporary_path, path);
  if (!begun) {
    (void)storage.files_->remove_file(temporary_path);
    return storage.checked_write(std::move(begun)).error();
  }
  TRY(storage.sync_directory_of(path));
  storage.own(path);
  return appender;
}

Result<void> LocalAppender::append(ByteView bytes) {
  if (!file_) return ended_error(key_);
  auto appended = file_->append(bytes);
  if (appended) appended = file_->sync_data();
  if (!appended) {
    // What readers see and a later fsync would call safe may never reach the disk: take it away.
    storage_.suspect(key_.text());
    (void)file_->truncate(durable_bytes_);
    file_.reset();
    return appended;
  }
  durable_bytes_ += bytes.size();
  return {};
}

}  // namespace pitr
