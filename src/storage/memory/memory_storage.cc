#include "storage/memory/memory_storage.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <thread>

namespace pitr {

// One call on its way through the moments at which a fault can hit it.
class MemoryStorage::Call {
 public:
  Call(MemoryStorage& storage, StorageCall kind, std::string_view key)
      : Call(storage, kind, key, storage.power_count_) {}
  // A call on a handle that was made when the power count was this.
  Call(MemoryStorage& storage, StorageCall kind, std::string_view key, std::uint64_t power_count)
      : storage_(storage), fault_(storage.faults_.next(kind, key)), power_count_(power_count) {}

  Result<void> reach(Fault::Moment moment) {
    if (fault_ && fault_->moment == moment) {
      if (fault_->latency.count() > 0) std::this_thread::sleep_for(fault_->latency);
      if (fault_->gate) fault_->gate->pass(storage_.power_count_, power_count_);
      TRY(check_power());
      if (fault_->error) return *fault_->error;
    }
    return check_power();
  }

  // To be repeated with mutex_ held before an effect.
  Result<void> check_power() const {
    if (storage_.power_count_ != power_count_) return Error::transient("the power was lost");
    return {};
  }

  bool will_fail_in_flight() const {
    return fault_ && fault_->error && fault_->moment == Fault::Moment::kInFlight;
  }

 private:
  MemoryStorage& storage_;
  std::optional<Fault> fault_;
  std::uint64_t power_count_;
};

class MemoryStorage::MemoryUpload final : public Upload {
 public:
  MemoryUpload(MemoryStorage& storage, const ObjectKey& key, std::uint64_t power_count)
      : storage_(storage), key_(key), power_count_(power_count) {}

  Result<void> write(ByteView bytes) override {
    if (finished_) return finished_error();
    finished_ = true;  // unless this succeeds
    Call call(storage_, StorageCall::kUploadWrite, key_.text(), power_count_);
    TRY(call.reach(Fault::Moment::kBefore));
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
    TRY(call.reach(Fault::Moment::kInFlight));
    TRY(call.reach(Fault::Moment::kAfter));
    finished_ = false;
    return {};
  }

  Result<void> commit() override {
    if (finished_) return finished_error();
    finished_ = true;
    Call call(storage_, StorageCall::kUploadCommit, key_.text(), power_count_);
    return storage_.store(call, key_, std::make_shared<Bytes>(std::move(bytes_)), false);
  }

 private:
  Error finished_error() const {
    return Error::invalid(fmt::format("the upload of {} has ended or failed", key_.text()));
  }

  MemoryStorage& storage_;
  const ObjectKey key_;
  const std::uint64_t power_count_;
  Bytes bytes_;
  bool finished_ = false;
};

class MemoryStorage::MemoryAppender final : public Appender {
 public:
  MemoryAppender(MemoryStorage& storage, const ObjectKey& key, std::shared_ptr<Bytes> object,
                 std::uint64_t power_count)
      : storage_(storage), key_(key), object_(std::move(object)), power_count_(power_count) {}

  Result<void> append(ByteView bytes) override {
    if (failed_) {
      return Error::invalid(fmt::format("an earlier append to {} has failed", key_.text()));
    }
    failed_ = true;  // unless this succeeds
    TRY(try_append(bytes));
    failed_ = false;
    return {};
  }

 private:
  Result<void> try_append(ByteView bytes) {
    Call call(storage_, StorageCall::kAppend, key_.text(), power_count_);
    TRY(call.reach(Fault::Moment::kBefore));
    {
      const std::lock_guard lock(storage_.mutex_);
      TRY(call.check_power());
      const auto part =
          call.will_fail_in_flight() ? bytes.first(storage_.random_up_to(bytes.size())) : bytes;
      object_->insert(object_->end(), part.begin(), part.end());
    }
    TRY(call.reach(Fault::Moment::kInFlight));
    {
      const std::lock_guard lock(storage_.mutex_);
      TRY(call.check_power());
      storage_.make_durable(key_, object_, object_->size());
    }
    return call.reach(Fault::Moment::kAfter);
  }

  MemoryStorage& storage_;
  const ObjectKey key_;
  const std::shared_ptr<Bytes> object_;
  const std::uint64_t power_count_;
  bool failed_ = false;
};

MemoryStorage::MemoryStorage(const Clock& clock, MemoryStorageOptions options)
    : clock_(clock), options_(options), faults_(options.seed), random_(options.seed) {}

MemoryStorage::~MemoryStorage() = default;

Result<void> MemoryStorage::put(const ObjectKey& key, ByteView bytes) {
  Call call(*this, StorageCall::kPut, key.text());
  return store(call, key, std::make_shared<Bytes>(bytes.begin(), bytes.end()), false);
}

Result<void> MemoryStorage::put_if_absent(const ObjectKey& key, ByteView bytes) {
  Call call(*this, StorageCall::kPutIfAbsent, key.text());
  return store(call, key, std::make_shared<Bytes>(bytes.begin(), bytes.end()), true);
}

Result<void> MemoryStorage::store(Call& call, const ObjectKey& key, std::shared_ptr<Bytes> bytes,
                                  bool only_if_absent) {
  TRY(call.reach(Fault::Moment::kBefore));
  {
    const std::lock_guard lock(mutex_);
    TRY(call.check_power());
    Object& object = objects_[key.text()];
    if (only_if_absent && object.visible) {
      make_durable(key, object.visible, object.visible->size());
      return Error::conflict(fmt::format("{} exists already", key.text()));
    }
    object.visible = bytes;
    object.modified = clock_.now();
  }
  TRY(call.reach(Fault::Moment::kInFlight));
  {
    const std::lock_guard lock(mutex_);
    TRY(call.check_power());
    make_durable(key, bytes, bytes->size());
  }
  return call.reach(Fault::Moment::kAfter);
}

Result<std::unique_ptr<Upload>> MemoryStorage::start_upload(const ObjectKey& key) {
  const std::uint64_t power_count = power_count_;
  Call call(*this, StorageCall::kStartUpload, key.text(), power_count);
  TRY(call.reach(Fault::Moment::kBefore));
  TRY(call.reach(Fault::Moment::kInFlight));
  TRY(call.reach(Fault::Moment::kAfter));
  return std::make_unique<MemoryUpload>(*this, key, power_count);
}

Result<std::unique_ptr<Appender>> MemoryStorage::start_append(const ObjectKey& key) {
  if (!options_.can_append) return Storage::start_append(key);
  const std::uint64_t power_count = power_count_;
  Call call(*this, StorageCall::kStartAppend, key.text(), power_count);
  auto object = std::make_shared<Bytes>();
  TRY(store(call, key, object, true));
  return std::make_unique<MemoryAppender>(*this, key, std::move(object), power_count);
}

Result<Bytes> MemoryStorage::get(const ObjectKey& key, std::uint64_t limit_bytes) {
  Call call(*this, StorageCall::kGet, key.text());
  TRY(call.reach(Fault::Moment::kBefore));
  const std::lock_guard lock(mutex_);
  const auto object = TRY(find(key));
  const std::size_t size = object->visible->size();
  if (size > limit_bytes) {
    return Error::invalid(
        fmt::format("{} has {} bytes, more than the limit of {}", key.text(), size, limit_bytes));
  }
  return Bytes(*object->visible);
}

Result<void> MemoryStorage::get_range(const ObjectKey& key, std::uint64_t offset,
                                      MutableByteView into) {
  Call call(*this, StorageCall::kGetRange, key.text());
  TRY(call.reach(Fault::Moment::kBefore));
  const std::lock_guard lock(mutex_);
  const auto object = TRY(find(key));
  const std::size_t size = object->visible->size();
  if (offset > size || into.size() > size - offset) {
    return Error::corrupt(
        fmt::format("{} ends at {}, before {} bytes at {}", key.text(), size, into.size(), offset));
  }
  std::copy_n(object->visible->begin() + static_cast<std::ptrdiff_t>(offset), into.size(),
              into.begin());
  return {};
}

Result<ObjectInfo> MemoryStorage::stat(const ObjectKey& key) {
  Call call(*this, StorageCall::kStat, key.text());
  TRY(call.reach(Fault::Moment::kBefore));
  const std::lock_guard lock(mutex_);
  const auto object = TRY(find(key));
  return ObjectInfo{key, object->visible->size(), object->modified};
}

Result<void> MemoryStorage::ensure_durable(const ObjectKey& key) {
  Call call(*this, StorageCall::kEnsureDurable, key.text());
  TRY(call.reach(Fault::Moment::kBefore));
  {
    const std::lock_guard lock(mutex_);
    TRY(call.check_power());
    const auto object = TRY(find(key));
    make_durable(key, object->visible, object->visible->size());
  }
  return call.reach(Fault::Moment::kAfter);
}

Result<ListPage> MemoryStorage::list(std::string_view prefix, std::string_view token) {
  Call call(*this, StorageCall::kList, prefix);
  TRY(call.reach(Fault::Moment::kBefore));
  const std::lock_guard lock(mutex_);
  ListPage page;
  auto at = token < prefix ? objects_.lower_bound(std::string(prefix))
                           : objects_.upper_bound(std::string(token));
  for (; at != objects_.end() && at->first.starts_with(prefix); ++at) {
    if (!at->second.visible) continue;
    if (page.objects.size() == options_.list_page_size) {
      page.next_token = page.objects.back().key.text();
      break;
    }
    page.objects.push_back(
        {ObjectKey::from_parts(at->first), at->second.visible->size(), at->second.modified});
  }
  return page;
}

Result<void> MemoryStorage::remove(const ObjectKey& key) {
  Call call(*this, StorageCall::kRemove, key.text());
  TRY(call.reach(Fault::Moment::kBefore));
  {
    const std::lock_guard lock(mutex_);
    TRY(call.check_power());
    const auto found = objects_.find(key.text());
    if (found != objects_.end()) found->second.visible = nullptr;
  }
  TRY(call.reach(Fault::Moment::kInFlight));
  return call.reach(Fault::Moment::kAfter);
}

Result<MemoryStorage::Object*> MemoryStorage::find(const ObjectKey& key) {
  const auto found = objects_.find(key.text());
  if (found == objects_.end() || !found->second.visible) {
    return Error::not_found(fmt::format("{} does not exist", key.text()));
  }
  return &found->second;
}

void MemoryStorage::make_durable(const ObjectKey& key, const std::shared_ptr<Bytes>& bytes,
                                 std::size_t size) {
  Object& object = objects_[key.text()];
  if (!object.visible) return;  // removed meanwhile
  object.durable = bytes;
  object.durable_size = size;
}

void MemoryStorage::power_loss() {
  {
    const std::lock_guard lock(mutex_);
    ++power_count_;
    for (auto& [key, object] : objects_) lose_power(object);
    std::erase_if(objects_, [](const auto& entry) { return entry.second.visible == nullptr; });
  }
  faults_.wake_gates();
}

void MemoryStorage::lose_power(Object& object) {
  const bool change_survives = random_up_to(1) == 1;
  if (object.visible != object.durable && change_survives) {
    // A put or a removal that nobody was told of, or a removal: it happened to reach the disk.
    object.durable = object.visible;
    object.durable_size = object.visible ? object.visible->size() : 0;
    return;
  }
  object.visible = object.durable;
  if (!object.visible) return;
  // What was appended after the last success: some of it is there, in it perhaps a hole.
  Bytes& bytes = *object.visible;
  const std::size_t kept = object.durable_size + random_up_to(bytes.size() - object.durable_size);
  bytes.resize(kept);
  if (random_up_to(1) == 1) {
    const std::size_t hole = object.durable_size + random_up_to(kept - object.durable_size);
    std::fill(bytes.begin() + static_cast<std::ptrdiff_t>(hole), bytes.end(), 0);
  }
  object.durable_size = kept;
}

std::size_t MemoryStorage::random_up_to(std::size_t limit) {
  return std::uniform_int_distribution<std::size_t>(0, limit)(random_);
}

}  // namespace pitr
