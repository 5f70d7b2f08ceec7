#include "agent/jobs/backup_progress.h"

namespace pitr {

void BackupProgress::phase(std::string_view name, std::uint64_t total_bytes) {
  std::lock_guard lock(mutex_);
  if (state_.phases.size() == kMaxPhases) state_.phases.pop_back();
  state_.phases.push_back({std::string(name), total_bytes});
  done_bytes_ = 0;
}

void BackupProgress::advance(std::uint64_t bytes) {
  done_bytes_ += bytes;
}

void BackupProgress::warn(std::string_view message) {
  std::lock_guard lock(mutex_);
  if (state_.warnings.size() < kMaxWarnings) state_.warnings.emplace_back(message);
}

void BackupProgress::finish() {
  std::lock_guard lock(mutex_);
  state_.finished = true;
  finished_.notify_all();
}

BackupProgress::Snapshot BackupProgress::snapshot_locked() const {
  Snapshot snapshot = state_;
  snapshot.done_bytes = done_bytes_;
  return snapshot;
}

BackupProgress::Snapshot BackupProgress::snapshot() const {
  std::lock_guard lock(mutex_);
  return snapshot_locked();
}

BackupProgress::Snapshot BackupProgress::wait(Milliseconds timeout) const {
  std::unique_lock lock(mutex_);
  finished_.wait_for(lock, timeout, [&] { return state_.finished; });
  return snapshot_locked();
}

}  // namespace pitr
