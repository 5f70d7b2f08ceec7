// What is known of a cluster at a moment: what its agent does, and what the repository holds. Plain
// values; the agent sends them as JSON (status_json.h), and the command line shows them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/checks/findings.h"
#include "agent/jobs/job.h"
#include "common/clock.h"
#include "repository/backup/backup_manifest.h"
#include "walreceiver/wal_receiver.h"

namespace pitr {

struct RunningBackup {
  Timestamp started;
  std::string phase;
  std::uint64_t done_bytes = 0;   // of the phase
  std::uint64_t total_bytes = 0;  // 0: not known
};

struct EndedBackup {
  Timestamp time;
  std::string backup;  // its id; empty where it failed
  std::string error;
};

// The last time that the agent looked whether all is well.
struct CheckReport {
  Timestamp time;
  Findings findings;
};

// What the agent does for a cluster.
struct ServiceStatus {
  // From the first contact with the server on.
  std::optional<WalReceiverStatus> receiver;
  std::string trouble;  // why there's no receiver yet
  std::optional<RunningBackup> running_backup;
  std::optional<EndedBackup> last_backup_run;
  std::vector<JobStatus> jobs;  // none: nobody does them
  std::optional<CheckReport> check;
};

// A stretch of time that can be restored to without a hole.
struct RecoveryWindow {
  BackupId backup;  // the first one to start from
  TimelineId timeline;
  Timestamp from;  // that backup's end
  Timestamp to;
  Lsn from_lsn;
  Lsn to_lsn;
};

struct RepositoryReport {
  IncarnationId incarnation;
  std::uint64_t segment_size_bytes = 0;
  std::vector<RecoveryWindow> windows;  // along the newest timeline; the last one is the current
  // Why the last one ends before the newest WAL, or before the end of a backup behind it, if it
  // does. That an earlier one ends shows in their number.
  std::string window_ended_by;
  std::optional<Watermark> watermark;
  std::uint64_t backup_count = 0;
  std::uint64_t unfinished_count = 0;  // backups under way, or dead attempts
  std::uint64_t stored_backup_bytes = 0;
  std::optional<BackupManifest> last_backup;  // without its long texts
  // The newest of each type (backup_type()) that there is, the same.
  std::vector<BackupManifest> last_of_types;
  std::optional<std::uint64_t> free_bytes;
  // Packs and stretches of WAL that verification found damaged and not right since.
  std::vector<std::string> damaged;
};

// "incremental" where only changed blocks were read, else "full".
std::string_view backup_type(const BackupManifest& manifest);

struct SlotReport {
  bool exists = false;
  bool active = false;
  std::string wal_status;
  std::optional<Lsn> restart_lsn;
  std::optional<std::int64_t> safe_wal_size_bytes;
  std::optional<std::uint64_t> retained_bytes;  // WAL from restart_lsn to the server's end
};

struct ClusterStatus {
  std::string name;
  std::string server;  // the connection, without secrets
  bool agent = false;  // whether an agent answered for it
  ServiceStatus service;
  std::optional<RepositoryReport> repository;
  std::string repository_trouble;
  std::optional<SlotReport> slot;
  std::string slot_trouble;
};

}  // namespace pitr
