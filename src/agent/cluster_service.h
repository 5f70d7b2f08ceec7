// The work for one cluster: streaming its WAL, taking in what archive_command hands over, base
// backups and expiry. The agent has one per cluster; pitr backup has one of its own where no agent
// answers.
//
// Nothing here needs the server to be up: streaming begins, with back-off, when it answers, and
// archived segments find their incarnation by the data directory they lie in. Guarantees are those
// of the layers below: success of archive_wal() means durable, and of take_backup() published.
//
// Thread-safe. The repository and the clock must outlive it. The destructor stops and waits.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>

#include "agent/archived_file.h"
#include "agent/audit/audit_trail.h"
#include "agent/events/cluster_events.h"
#include "agent/events/stream_watch.h"
#include "agent/jobs/job_turn.h"
#include "agent/metrics/cluster_counters.h"
#include "agent/reports/status.h"
#include "basebackup/base_backup.h"
#include "common/observer.h"
#include "config/config.h"
#include "repository/expire/expire.h"
#include "repository/verify/verify.h"
#include "walreceiver/segment_ingest.h"

namespace pitr {

class BackupProgress;

struct BackupOptions {
  ReadRequest read = ReadRequest::kAuto;
  std::string label;
  // How to read the database; absent: as the configuration says.
  std::optional<BackupConfig::Method> method;
  std::optional<unsigned> workers;
  bool keep_server_manifest = false;   // remote only
  std::string reason;                  // for the audit trail
  std::optional<AuditActor> asked_by;  // the same; absent: this process
};

class ClusterService {
 public:
  // events: where set, it is told of what happens, and outlives the service.
  ClusterService(Repository& repository, ClusterConfig config, Clock& clock,
                 EventSink* events = nullptr);
  ~ClusterService();

  const ClusterConfig& config() const { return config_; }

  // Starts the thread that streams WAL.
  void start_streaming();
  // Everything ends soon, backups with kCancelled; returns at once.
  void request_stop();

  // path: absolute, of a file that archive_command hands over.
  Result<PutOutcome> archive_wal(const Path& path);

  // Whoever takes a backup or expires them has the turn: one at a time.
  JobTurn& turn() { return turn_; }
  // Waits for its turn, and tells the observer so.
  Result<BackupManifest> take_backup(const BackupOptions& options, Observer& observer,
                                     std::stop_token stop);
  // Both for the holder of the turn.
  Result<BackupManifest> take_backup_in_turn(const BackupOptions& options, Observer& observer,
                                             std::stop_token stop);
  Result<ExpireReport> expire_in_turn(const AskedBy& asked_by, std::stop_token stop);
  RetentionConfig retention_config() const;

  // From now on: what "backup", "retention" and "schedule" say. All else is as it was at the start.
  void set_policies(const ClusterConfig& config);
  // Of a scheduled verification: a part of the cycle, as slowly as backups read.
  VerifyOptions verify_options() const;

  // Problems and warnings that are new, or gone, are logged, and told as events.
  void note_check(CheckReport report);
  const ClusterEvents& events() const { return events_; }

  // Looks nothing up: as it is now.
  ServiceStatus status() const;
  ClusterCounters& counters() { return counters_; }

 private:
  // One incarnation, opened.
  struct Opened {
    Opened(const IncarnationStore& store, const ClusterConfig& config, ClusterCounters& counters,
           Clock& clock);
    WalArchive archive;
    FactsStore facts;
    SegmentIngest ingest;
    WalReceiver receiver;
  };

  void stream(std::stop_token stop);
  void supervise(Opened& opened, StreamWatch& watch, std::stop_token stop);
  Result<bool> was_replaced(const Opened& opened);
  Result<std::shared_ptr<Opened>> open(const ServerIdentity& server);
  Result<std::shared_ptr<Opened>> open_by_server(std::stop_token stop);
  Result<std::shared_ptr<Opened>> open_by_file(const ArchivedFile& file);
  std::shared_ptr<Opened> adopt(const IncarnationStore& store);
  std::shared_ptr<Opened> opened() const;
  Result<PutOutcome> read_and_store(const Path& path);
  void note_trouble(const Error& error);
  Result<BaseBackupRequest> backup_request(const BackupOptions& options, Observer& observer) const;
  BackupConfig backup_config() const;
  Result<void> wait_for_stream(Observer& observer, std::stop_token stop) const;
  Result<BackupManifest> run_backup(const BackupOptions& options, BackupProgress& progress,
                                    Observer& observer, std::stop_token stop);
  std::shared_ptr<BackupProgress> begin_backup();
  void end_backup(const Result<BackupManifest>& result);
  void audit_backup(const BackupOptions& options, const Result<BackupManifest>& result) const;

  Repository& repository_;
  const ClusterConfig config_;
  Clock& clock_;
  const ClusterEvents events_;
  ClusterCounters counters_;
  std::stop_source stop_;
  JobTurn turn_;
  mutable std::mutex mutex_;
  BackupConfig backup_;  // guarded, as are those below
  RetentionConfig retention_;
  Milliseconds verify_period_;
  std::optional<CheckReport> check_;
  std::shared_ptr<Opened> opened_;
  bool is_streaming_ = false;
  std::string trouble_;
  std::shared_ptr<BackupProgress> running_backup_;
  Timestamp backup_started_;
  std::optional<EndedBackup> last_backup_run_;
  std::jthread streaming_;  // last: it uses all of the above
};

}  // namespace pitr
