// Actors that take turns at one storage, a call at a time, in an order that a seed chooses: every
// interleaving can happen, and what happened can be checked after each call. An actor can be killed
// at any call; what it had under way then happens, doesn't, or happens later.
//
// Each actor is a thread with a SteppedStorage of its own; only the one whose turn it is runs.
#pragma once

#include <condition_variable>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <thread>

#include "storage/storage.h"

namespace pitr::test {

class SimulatedClock final : public Clock {
 public:
  explicit SimulatedClock(Timestamp start) : now_us_(start.unix_us()) {}
  Timestamp now() const override { return Timestamp::from_unix_us(now_us_); }
  SteadyTime steady_now() const override { return SteadyTime(Microseconds(now_us_)); }
  void advance(Microseconds by) { now_us_ += by.count(); }

 private:
  std::atomic<std::int64_t> now_us_;
};

class Actor;

class SteppedStorage final : public Storage {
 public:
  SteppedStorage(Storage& below, Actor& actor) : below_(below), actor_(actor) {}

  std::string description() const override { return below_.description(); }
  Result<void> put(const ObjectKey& key, ByteView bytes) override;
  Result<void> put_if_absent(const ObjectKey& key, ByteView bytes) override;
  Result<std::unique_ptr<Upload>> start_upload(const ObjectKey& key) override;
  Result<Bytes> get(const ObjectKey& key, std::uint64_t limit_bytes) override;
  Result<void> get_range(const ObjectKey& key, std::uint64_t offset, MutableByteView into) override;
  Result<ObjectInfo> stat(const ObjectKey& key) override;
  Result<ListPage> list(std::string_view prefix, std::string_view token) override;
  Result<void> remove(const ObjectKey& key) override;

 private:
  class SteppedUpload;
  Storage& below_;
  Actor& actor_;
};

class Actor {
 public:
  using Work = std::function<void(Storage&)>;
  Actor(Storage& below, std::string name, Work work);
  ~Actor();  // kills it

  const std::string& name() const { return name_; }
  // Of the call that it wants to make: "put main/…/backup.json".
  const std::string& wants() const { return wants_; }
  bool is_done() const { return is_done_; }
  bool writes() const { return static_cast<bool>(late_); }
  // Lets it make its call and go on to the next one, or to its end.
  void step();
  // It runs no further. Gives the write that it was about to make, if that was one.
  std::function<void()> kill();

  // For the storage, in the actor's thread. False: it was killed.
  bool enter(std::string what, std::function<void()> late);

 private:
  void wait_until_it_waits(std::unique_lock<std::mutex>& lock);

  const std::string name_;
  SteppedStorage storage_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::string wants_;
  std::function<void()> late_;
  bool may_go_ = false;
  bool waits_ = false;
  bool is_done_ = false;
  bool is_killed_ = false;
  std::jthread thread_;
};

}  // namespace pitr::test
