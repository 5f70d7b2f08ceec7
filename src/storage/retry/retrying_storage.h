// Repeats calls that failed with a transient error, as a RetryPolicy says. Borrows the storage it
// decorates. Thread-safe.
//
// put_if_absent that meets a conflict after a failed attempt of its own compares the content: the
// same bytes are taken for that attempt's, so writers that compete for a name must write different
// bytes. What a caller streams isn't kept, so an upload's write and commit and an appender's append
// are not repeated: their errors go to the caller, who starts again under a new name.
#pragma once

#include <stop_token>

#include "common/retry.h"
#include "storage/storage.h"

namespace pitr {

class RetryingStorage final : public Storage {
 public:
  // stop ends waiting between attempts.
  RetryingStorage(Storage& inner, RetryPolicy policy, std::stop_token stop = {})
      : inner_(inner), policy_(policy), stop_(std::move(stop)) {}

  std::string description() const override { return inner_.description(); }
  Result<void> put(const ObjectKey& key, ByteView bytes) override;
  Result<void> put_if_absent(const ObjectKey& key, ByteView bytes) override;
  Result<std::unique_ptr<Upload>> start_upload(const ObjectKey& key) override;
  Result<Bytes> get(const ObjectKey& key, std::uint64_t limit_bytes) override;
  Result<void> get_range(const ObjectKey& key, std::uint64_t offset, MutableByteView into) override;
  void expect_range(const ObjectKey& key, std::uint64_t offset, std::uint64_t size_bytes) override {
    inner_.expect_range(key, offset, size_bytes);
  }
  Result<ObjectInfo> stat(const ObjectKey& key) override;
  Result<void> ensure_durable(const ObjectKey& key) override;
  Result<ListPage> list(std::string_view prefix, std::string_view token) override;
  Result<void> remove(const ObjectKey& key) override;
  bool supports_append() const override { return inner_.supports_append(); }
  Result<std::unique_ptr<Appender>> start_append(const ObjectKey& key) override {
    return inner_.start_append(key);
  }
  Result<std::optional<std::uint64_t>> free_bytes() override { return inner_.free_bytes(); }
  Result<std::optional<std::uint64_t>> capacity_bytes() override { return inner_.capacity_bytes(); }

 private:
  Storage& inner_;
  RetryPolicy policy_;
  std::stop_token stop_;
};

}  // namespace pitr
