// What happened to a cluster since the agent started: archived files, ended backups and jobs, what
// retention deleted. Filled where it happens, read by each scrape. One for each cluster, for as
// long as its service lives, so that counters never go down. Thread-safe.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>

#include "agent/jobs/job.h"
#include "common/latency_histogram.h"
#include "repository/backup/backup_manifest.h"
#include "repository/expire/expire.h"
#include "walreceiver/segment_counts.h"

namespace pitr {

enum class Outcome : std::uint8_t { kSuccess, kFailure, kCancelled };
std::string_view to_string(Outcome outcome);
Outcome outcome_of(const Error& error);

// Of what the agent does by itself, kind by kind; backups are counted besides.
class JobMetrics {
 public:
  struct Job {
    std::array<std::uint64_t, 3> runs{};  // by Outcome
    Timestamp last_success;               // unset: never, since the agent started
    Timestamp last_failure;
    Microseconds last_duration{0};
  };

  void record(JobKind kind, Outcome outcome, Timestamp started, Timestamp ended);
  Job job(JobKind kind) const;

 private:
  mutable std::mutex mutex_;
  std::array<Job, kJobKinds.size()> jobs_;
};

class ClusterCounters {
 public:
  SegmentCounts segments;
  LatencyHistogram archive_latency;
  JobMetrics jobs;

  void count_archived(const Result<PutOutcome>& outcome, Microseconds took);
  std::uint64_t archived(SegmentOutcome outcome) const {
    return archived_[static_cast<std::size_t>(outcome)];
  }

  void count_backup(const Result<BackupManifest>& result, Timestamp ended);
  // By type ("full", "incremental", or "unknown" where it failed before that was decided) and
  // outcome.
  std::map<std::pair<std::string, Outcome>, std::uint64_t> backups() const;
  Timestamp last_backup_failure() const;
  Timestamp last_backup_success(std::string_view type) const;
  // Calls it after each backup that ends from now on, in that backup's thread; empty: nobody. On
  // return the one before isn't called any more.
  void tell_of_backups(std::function<void()> listener);

  void count_expired(const ExpireReport& report);
  std::atomic<std::uint64_t> dropped_backups = 0;
  std::atomic<std::uint64_t> deleted_objects = 0;
  std::atomic<std::uint64_t> deleted_bytes = 0;

  // Receivers of incarnations that another database took the place of.
  std::atomic<std::uint64_t> former_connections = 0;
  std::atomic<std::uint64_t> former_gaps = 0;

 private:
  std::array<std::atomic<std::uint64_t>, SegmentCounts::kOutcomes.size()> archived_{};
  std::mutex listener_mutex_;
  std::function<void()> listener_;
  mutable std::mutex mutex_;
  std::map<std::pair<std::string, Outcome>, std::uint64_t> backups_;
  std::map<std::string, Timestamp, std::less<>> last_success_;
  Timestamp last_failure_;
};

}  // namespace pitr
