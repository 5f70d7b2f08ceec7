// Passes every call on, and counts all but hints in a StorageMeter. Below a retrying storage it
// counts each attempt. Borrows the storage it decorates and the meter. Thread-safe.
#pragma once

#include "storage/measured/storage_meter.h"
#include "storage/storage.h"

namespace pitr {

class MeasuredStorage final : public Storage {
 public:
  MeasuredStorage(Storage& inner, StorageMeter& meter) : inner_(inner), meter_(meter) {}

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
  Result<std::vector<std::string>> list_folders(std::string_view prefix) override;
  Result<void> remove(const ObjectKey& key) override;
  bool supports_append() const override { return inner_.supports_append(); }
  Result<std::unique_ptr<Appender>> start_append(const ObjectKey& key) override;
  Result<std::optional<std::uint64_t>> free_bytes() override { return inner_.free_bytes(); }
  Result<std::optional<std::uint64_t>> capacity_bytes() override { return inner_.capacity_bytes(); }

 private:
  Storage& inner_;
  StorageMeter& meter_;
};

}  // namespace pitr
