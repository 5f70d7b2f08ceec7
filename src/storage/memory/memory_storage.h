// Objects in memory, for tests: with planned faults (see faults.h) and simulated power loss.
//
// It keeps Storage's contract strictly and no more than that: an object has a visible and a durable
// state. A call makes its effect visible, passes the moment kInFlight, makes it durable, passes
// kAfter, and returns. What a call that failed, an abandoned appender or a killed writer left stays
// visible, and is kept, torn or dropped by power_loss() as the seed says; what was acknowledged (or
// passed ensure_durable) stays. Handles must not outlive the storage. Thread-safe.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <string>

#include "common/clock.h"
#include "storage/memory/faults.h"
#include "storage/storage.h"

namespace pitr {

struct MemoryStorageOptions {
  std::uint64_t seed = 1;
  bool can_append = true;  // false: like an object store
  std::size_t list_page_size = 1000;
};

class MemoryStorage final : public Storage {
 public:
  explicit MemoryStorage(const Clock& clock, MemoryStorageOptions options = {});
  ~MemoryStorage() override;

  FaultPlan& faults() { return faults_; }
  // Calls in flight fail (those at gates wake up), uploads and appenders are dead, and the storage
  // is back at once with what survived.
  void power_loss();

  std::string description() const override { return "memory"; }
  Result<void> put(const ObjectKey& key, ByteView bytes) override;
  Result<void> put_if_absent(const ObjectKey& key, ByteView bytes) override;
  Result<std::unique_ptr<Upload>> start_upload(const ObjectKey& key) override;
  Result<Bytes> get(const ObjectKey& key, std::uint64_t limit_bytes) override;
  Result<void> get_range(const ObjectKey& key, std::uint64_t offset, MutableByteView into) override;
  Result<ObjectInfo> stat(const ObjectKey& key) override;
  Result<void> ensure_durable(const ObjectKey& key) override;
  Result<ListPage> list(std::string_view prefix, std::string_view token) override;
  Result<void> remove(const ObjectKey& key) override;
  bool supports_append() const override { return options_.can_append; }
  Result<std::unique_ptr<Appender>> start_append(const ObjectKey& key) override;

 private:
  class MemoryUpload;
  class MemoryAppender;
  class Call;

  struct Object {
    std::shared_ptr<Bytes> visible;  // null: not there
    std::shared_ptr<Bytes> durable;  // the same as visible but for removed and replaced objects
    std::size_t durable_size = 0;    // only so much of durable is
    Timestamp modified;
  };

  // A whole object, by any way to put one.
  Result<void> store(Call& call, const ObjectKey& key, std::shared_ptr<Bytes> bytes,
                     bool only_if_absent);
  // With mutex_ held:
  Result<Object*> find(const ObjectKey& key);
  void make_durable(const ObjectKey& key, const std::shared_ptr<Bytes>& bytes, std::size_t size);
  void lose_power(Object& object);
  std::size_t random_up_to(std::size_t limit);

  const Clock& clock_;
  const MemoryStorageOptions options_;
  FaultPlan faults_;
  std::atomic<std::uint64_t> power_count_ = 0;  // power losses so far; written with mutex_ held
  mutable std::mutex mutex_;
  std::map<std::string, Object> objects_;  // guarded
  std::mt19937_64 random_;                 // guarded
};

}  // namespace pitr
