#include "repository/expire/stepped_storage.h"

namespace pitr::test {

static Error killed() {
  return Error::cancelled("the process was killed");
}

class SteppedStorage::SteppedUpload final : public Upload {
 public:
  SteppedUpload(SteppedStorage& storage, ObjectKey key) : storage_(storage), key_(std::move(key)) {}
  Result<void> write(ByteView bytes) override {
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
    return {};
  }
  Result<void> commit() override { return storage_.put(key_, bytes_); }

 private:
  SteppedStorage& storage_;
  const ObjectKey key_;
  Bytes bytes_;
};

Result<void> SteppedStorage::put(const ObjectKey& key, ByteView bytes) {
  const auto copy = std::make_shared<Bytes>(bytes.begin(), bytes.end());
  auto& below = below_;
  const auto late = [&below, key, copy] { (void)below.put(key, *copy).has_value(); };
  if (!actor_.enter("put " + key.text(), late)) return killed();
  return below_.put(key, bytes);
}

Result<void> SteppedStorage::put_if_absent(const ObjectKey& key, ByteView bytes) {
  const auto copy = std::make_shared<Bytes>(bytes.begin(), bytes.end());
  auto& below = below_;
  const auto late = [&below, key, copy] { (void)below.put_if_absent(key, *copy).has_value(); };
  if (!actor_.enter("put " + key.text(), late)) return killed();
  return below_.put_if_absent(key, bytes);
}

Result<std::unique_ptr<Upload>> SteppedStorage::start_upload(const ObjectKey& key) {
  return std::make_unique<SteppedUpload>(*this, key);
}

Result<Bytes> SteppedStorage::get(const ObjectKey& key, std::uint64_t limit_bytes) {
  if (!actor_.enter("get " + key.text(), {})) return killed();
  return below_.get(key, limit_bytes);
}

Result<void> SteppedStorage::get_range(const ObjectKey& key, std::uint64_t offset,
                                       MutableByteView into) {
  if (!actor_.enter("get " + key.text(), {})) return killed();
  return below_.get_range(key, offset, into);
}

Result<ObjectInfo> SteppedStorage::stat(const ObjectKey& key) {
  if (!actor_.enter("stat " + key.text(), {})) return killed();
  return below_.stat(key);
}

Result<ListPage> SteppedStorage::list(std::string_view prefix, std::string_view token) {
  if (!actor_.enter("list " + std::string(prefix), {})) return killed();
  return below_.list(prefix, token);
}

Result<void> SteppedStorage::remove(const ObjectKey& key) {
  auto& below = below_;
  const auto late = [&below, key] { (void)below.remove(key).has_value(); };
  if (!actor_.enter("remove " + key.text(), late)) return killed();
  return below_.remove(key);
}

Actor::Actor(Storage& below, std::string name, Work work)
    : name_(std::move(name)), storage_(below, *this), thread_([this, work = std::move(work)] {
        work(storage_);
        const std::lock_guard lock(mutex_);
        is_done_ = true;
        changed_.notify_all();
      }) {
  std::unique_lock lock(mutex_);
  wait_until_it_waits(lock);
}

Actor::~Actor() {
  (void)kill();
}

void Actor::wait_until_it_waits(std::unique_lock<std::mutex>& lock) {
  changed_.wait(lock, [&] { return waits_ || is_done_; });
}

bool Actor::enter(std::string what, std::function<void()> late) {
  std::unique_lock lock(mutex_);
  if (is_killed_) return false;
  wants_ = std::move(what);
  late_ = std::move(late);
  waits_ = true;
  changed_.notify_all();
  changed_.wait(lock, [&] { return may_go_ || is_killed_; });
  waits_ = false;
  if (is_killed_) return false;
  may_go_ = false;
  return true;
}

void Actor::step() {
  std::unique_lock lock(mutex_);
  if (is_done_) return;
  may_go_ = true;
  waits_ = false;
  changed_.notify_all();
  wait_until_it_waits(lock);
}

std::function<void()> Actor::kill() {
  std::function<void()> late;
  {
    const std::lock_guard lock(mutex_);
    if (is_killed_ || is_done_) return {};
    is_killed_ = true;
    late = late_;
    changed_.notify_all();
  }
  thread_.join();
  return late;
}

}  // namespace pitr::test
