#include "storage/retry/retrying_storage.h"

#include <algorithm>

namespace pitr {

Result<void> RetryingStorage::put(const ObjectKey& key, ByteView bytes) {
  return retry(policy_, stop_, [&] { return inner_.put(key, bytes); });
}

Result<void> RetryingStorage::put_if_absent(const ObjectKey& key, ByteView bytes) {
  bool may_be_ours = false;
  return retry(policy_, stop_, [&]() -> Result<void> {
    auto stored = inner_.put_if_absent(key, bytes);
    if (stored) return stored;
    const ErrorKind kind = stored.error().kind();
    if (kind == ErrorKind::kConflict && may_be_ours) {
      const auto existing = inner_.get(key, bytes.size());
      // Ours is durable then, as the conflict says.
      if (existing && std::ranges::equal(*existing, bytes)) return {};
      const bool is_gone = !existing && existing.error().kind() == ErrorKind::kNotFound;
      if (is_gone) return Error::transient(key.text() + " was removed while it was compared");
      const bool is_larger = !existing && existing.error().kind() == ErrorKind::kInvalid;
      if (!existing && !is_larger) return existing.error();
    }
    if (kind == ErrorKind::kTransient) may_be_ours = true;
    return stored;
  });
}

Result<std::unique_ptr<Upload>> RetryingStorage::start_upload(const ObjectKey& key) {
  return retry(policy_, stop_, [&] { return inner_.start_upload(key); });
}

Result<Bytes> RetryingStorage::get(const ObjectKey& key, std::uint64_t limit_bytes) {
  return retry(policy_, stop_, [&] { return inner_.get(key, limit_bytes); });
}

Result<void> RetryingStorage::get_range(const ObjectKey& key, std::uint64_t offset,
                                        MutableByteView into) {
  return retry(policy_, stop_, [&] { return inner_.get_range(key, offset, into); });
}

Result<ObjectInfo> RetryingStorage::stat(const ObjectKey& key) {
  return retry(policy_, stop_, [&] { return inner_.stat(key); });
}

Result<void> RetryingStorage::ensure_durable(const ObjectKey& key) {
  return retry(policy_, stop_, [&] { return inner_.ensure_durable(key); });
}

Result<ListPage> RetryingStorage::list(std::string_view prefix, std::string_view token) {
  return retry(policy_, stop_, [&] { return inner_.list(prefix, token); });
}

Result<void> RetryingStorage::remove(const ObjectKey& key) {
  return retry(policy_, stop_, [&] { return inner_.remove(key); });
}

}  // namespace pitr
