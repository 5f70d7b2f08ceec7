// A file system in memory that forgets what was not synced, as unkindly as POSIX allows: to prove
// what LocalStorage does between a write and its acknowledgement.
//
// Every file has volatile and durable bytes, every directory volatile and durable entries. fsync of
// a file moves its dirty pages and size; fsync of a directory its changed names, each name by
// itself (so a rename's two halves can come apart). Power loss keeps or drops each dirty page, size
// and name at random. An fsync that fails drops what was dirty and the next one succeeds, as on
// Linux.
//
// Every changing call is a step. A step can be made to fail, or to be the last before the power (or
// the process) goes; that step itself happens or not, at random. Thread-safe.
#pragma once

#include <limits>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <set>
#include <string>

#include "storage/local/filesystem.h"

namespace pitr {

class SimulatedFileSystem final : public FileSystem {
 public:
  explicit SimulatedFileSystem(std::uint64_t seed = 1);
  ~SimulatedFileSystem() override;

  static constexpr std::uint64_t kNever = std::numeric_limits<std::uint64_t>::max();
  std::uint64_t steps() const;
  // From now on counted; the first is 0.
  void stop_at_step(std::uint64_t steps_from_now);  // then every call fails until a restart
  void fail_at_step(std::uint64_t steps_from_now);  // EIO, once
  bool has_stopped() const;
  // What the machine sees after power loss, or what a new process sees after the old one was
  // killed. Files opened before are dead.
  void restart_after_power_loss();
  void restart_after_kill();

  void set_capacity(std::uint64_t bytes);
  void set_read_only(bool read_only);

  std::string shown_path(const std::string& path) const override;
  Result<std::unique_ptr<WritableFile>> create_file(const std::string& path) override;
  Result<std::unique_ptr<ReadableFile>> open_file(const std::string& path) override;
  Result<FileStatus> status(const std::string& path) override;
  Result<bool> is_being_written(const std::string& path) override;
  Result<void> rename(const std::string& from, const std::string& to) override;
  Result<void> rename_if_absent(const std::string& from, const std::string& to) override;
  Result<void> remove_file(const std::string& path) override { return remove(path, false); }
  Result<void> make_directory(const std::string& path) override;
  Result<void> remove_directory(const std::string& path) override { return remove(path, true); }
  Result<void> sync_directory(const std::string& path) override;
  Result<void> sync_file(const std::string& path) override;
  Result<void> visit_entries(const std::string& path, const EntryVisitor& visit) override;
  Result<std::uint64_t> free_bytes() override;
  Result<std::uint64_t> capacity_bytes() override {
    const std::lock_guard lock(mutex_);
    return capacity_bytes_;
  }

 private:
  struct Node;
  class SimulatedFile;
  class SimulatedReader;
  using NodePointer = std::shared_ptr<Node>;
  struct Place {  // of a name
    NodePointer directory;
    std::string name;
    NodePointer node;  // null: absent
  };

  Result<void> remove(const std::string& path, bool is_directory);
  // All with mutex_ held.
  template <typename Body>
  Result<void> step(const std::string& path, Body&& body);
  Result<void> sync_step(const std::string& path, Node& node);
  Error failed(int error_number, const std::string& path) const;
  Result<void> check_running(const std::string& path) const;
  Result<Place> find(const std::string& path) const;
  Result<NodePointer> find_existing(const std::string& path) const;
  Result<void> move(const std::string& from, const std::string& to, bool only_if_absent);
  Result<void> append(Node& node, ByteView bytes, const std::string& path);
  void lose_power(Node& node);
  bool coin();

  mutable std::mutex mutex_;
  NodePointer root_;
  std::mt19937_64 random_;
  std::uint64_t steps_ = 0;
  std::uint64_t stop_at_ = kNever;
  std::uint64_t fail_at_ = kNever;
  std::uint64_t boot_ = 0;
  bool has_stopped_ = false;
  bool is_in_flight_ = false;  // within a step that is going to fail
  bool read_only_ = false;
  std::uint64_t capacity_bytes_ = kNever;
  std::uint64_t used_bytes_ = 0;  // only grows; enough to test a full disk
};

}  // namespace pitr
