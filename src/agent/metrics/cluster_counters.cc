#include "agent/metrics/cluster_counters.h"

#include "agent/reports/status.h"

namespace pitr {

std::string_view to_string(Outcome outcome) {
  switch (outcome) {
    case Outcome::kSuccess:
      return "success";
    case Outcome::kFailure:
      return "failure";
    case Outcome::kCancelled:
      return "cancelled";
  }
  return "unknown";
}

Outcome outcome_of(const Error& error) {
  return error.kind() == ErrorKind::kCancelled ? Outcome::kCancelled : Outcome::kFailure;
}

void JobMetrics::record(JobKind kind, Outcome outcome, Timestamp started, Timestamp ended) {
  std::lock_guard lock(mutex_);
  auto& job = jobs_[static_cast<std::size_t>(kind)];
  ++job.runs[static_cast<std::size_t>(outcome)];
  job.last_duration = ended - started;
  if (outcome == Outcome::kSuccess) job.last_success = ended;
  if (outcome == Outcome::kFailure) job.last_failure = ended;
}

JobMetrics::Job JobMetrics::job(JobKind kind) const {
  std::lock_guard lock(mutex_);
  return jobs_[static_cast<std::size_t>(kind)];
}

void ClusterCounters::count_archived(const Result<PutOutcome>& outcome, Microseconds took) {
  ++archived_[static_cast<std::size_t>(segment_outcome(outcome))];
  archive_latency.add(took);
}

void ClusterCounters::count_backup(const Result<BackupManifest>& result, Timestamp ended) {
  {
    std::lock_guard lock(mutex_);
    if (result) {
      const std::string type(backup_type(*result));
      ++backups_[{type, Outcome::kSuccess}];
      last_success_[type] = ended;
    } else {
      const auto outcome = outcome_of(result.error());
      ++backups_[{"unknown", outcome}];
      if (outcome == Outcome::kFailure) last_failure_ = ended;
    }
  }
  std::lock_guard lock(listener_mutex_);
  if (listener_) listener_();
}

void ClusterCounters::tell_of_backups(std::function<void()> listener) {
  std::lock_guard lock(listener_mutex_);
  listener_ = std::move(listener);
}

// All that can happen are there from the start: a counter that appears with 1 has no increase.
std::map<std::pair<std::string, Outcome>, std::uint64_t> ClusterCounters::backups() const {
  std::lock_guard lock(mutex_);
  auto backups = backups_;
  backups.try_emplace({"full", Outcome::kSuccess});
  backups.try_emplace({"incremental", Outcome::kSuccess});
  backups.try_emplace({"unknown", Outcome::kFailure});
  backups.try_emplace({"unknown", Outcome::kCancelled});
  return backups;
}

Timestamp ClusterCounters::last_backup_failure() const {
  std::lock_guard lock(mutex_);
  return last_failure_;
}

Timestamp ClusterCounters::last_backup_success(std::string_view type) const {
  std::lock_guard lock(mutex_);
  const auto found = last_success_.find(type);
  return found == last_success_.end() ? Timestamp() : found->second;
}

void ClusterCounters::count_expired(const ExpireReport& report) {
  dropped_backups += report.dropped_backups;
  deleted_objects += report.deleted.objects;
  deleted_bytes += report.deleted.bytes;
}

}  // namespace pitr
