// An Observer that keeps what it is told, for status and for streaming it to a client. Workers call
// it from any thread; readers poll snapshot() or wait for a change. Thread-safe.
#pragma once

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <string>
#include <vector>

#include "common/clock.h"
#include "common/observer.h"

namespace pitr {

class BackupProgress final : public Observer {
 public:
  struct Phase {
    std::string name;
    std::uint64_t total_bytes = 0;  // 0: not known
  };
  struct Snapshot {
    std::vector<Phase> phases;     // the last one is under way
    std::uint64_t done_bytes = 0;  // of it
    std::vector<std::string> warnings;
    bool finished = false;
  };

  void phase(std::string_view name, std::uint64_t total_bytes) override;
  void advance(std::uint64_t bytes) override;
  void warn(std::string_view message) override;
  void finish();

  Snapshot snapshot() const;
  // Waits until it is finished, at most so long.
  Snapshot wait(Milliseconds timeout) const;

 private:
  static constexpr std::size_t kMaxPhases = 1000;
  static constexpr std::size_t kMaxWarnings = 100;
  Snapshot snapshot_locked() const;

  std::atomic<std::uint64_t> done_bytes_ = 0;
  mutable std::mutex mutex_;
  mutable std::condition_variable finished_;
  Snapshot state_;  // but done_bytes
};

}  // namespace pitr
