// The two ways to write into a LocalStorage: a file that appears when it's whole and durable, and
// one that grows in place. They borrow the storage; one thread at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "storage/local/filesystem.h"
#include "storage/storage.h"

namespace pitr {

class LocalStorage;

// Written under a temporary name. The first error ends it: an fsync after a failed one, or after a
// failed write, would prove nothing.
class LocalUpload final : public Upload {
 public:
  static Result<std::unique_ptr<LocalUpload>> start(LocalStorage& storage, const ObjectKey& key);
  ~LocalUpload() override;

  Result<void> write(ByteView bytes) override;
  Result<void> commit() override { return publish(false); }
  // kConflict where only_if_absent and the object exists.
  Result<void> publish(bool only_if_absent);

 private:
  LocalUpload(LocalStorage& storage, const ObjectKey& key, std::string temporary_path,
              std::unique_ptr<WritableFile> file);
  Result<void> try_publish(bool only_if_absent);
  void start_writeback();

  LocalStorage& storage_;
  const ObjectKey key_;
  const std::string temporary_path_;
  std::unique_ptr<WritableFile> file_;  // null after the end
  bool temporary_exists_ = true;
  std::uint64_t written_bytes_ = 0;
  std::uint64_t writeback_started_bytes_ = 0;
};

class LocalAppender final : public Appender {
 public:
  static Result<std::unique_ptr<LocalAppender>> start(LocalStorage& storage, const ObjectKey& key);

  Result<void> append(ByteView bytes) override;

 private:
  LocalAppender(LocalStorage& storage, const ObjectKey& key, std::unique_ptr<WritableFile> file)
      : storage_(storage), key_(key), file_(std::move(file)) {}

  LocalStorage& storage_;
  const ObjectKey key_;
  std::unique_ptr<WritableFile> file_;  // null after an error
  std::uint64_t durable_bytes_ = 0;
};

}  // namespace pitr
