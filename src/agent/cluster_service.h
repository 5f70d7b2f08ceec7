// The work for one cluster: streaming its WAL, taking in what archive_command hands over, and base
// backups. The agent has one per cluster; pitr backup has one of its own where no agent answers.
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
#include "agent/metrics/cluster_counters.h"
#include "agent/status.h"
#include "basebackup/base_backup.h"
#include "common/observer.h"
#include "config/config.h"
#include "walreceiver/segment_ingest.h"

namespace pitr {

class BackupProgress;

struct BackupOptions {
  ReadRequest read = ReadRequest::kAuto;
  std::string label;
  // How to read the database; absent: as the configuration says.
  std::optional<BackupConfig::Method> method;
  std::optional<unsigned> workers;
  bool keep_server_manifest = false;  // remote only
};

class ClusterService {
 public:
  ClusterService(Repository& repository, ClusterConfig config, Clock& clock);
  ~ClusterService();

  const ClusterConfig& config() const { return config_; }

  // Starts the thread that streams WAL.
  void start_streaming();
  // Everything ends soon, backups with kCancelled; returns at once.
  void request_stop();

  // path: absolute, of a file that archive_command hands over.
  Result<PutOutcome> archive_wal(const Path& path);

  // One at a time: kConflict while another one runs.
  Result<BackupManifest> take_backup(const BackupOptions& options, Observer& observer,
                                     std::stop_token stop);

  // Looks nothing up: as it is now.
  ServiceStatus status() const;
  ClusterCounters& counters() { return counters_; }

 private:
  // One incarnation, opened.
  struct Opened {
    Opened(IncarnationStore store, const ClusterConfig& config, ClusterCounters& counters,
           Clock& clock);
    WalArchive archive;
    FactsStore facts;
    SegmentIngest ingest;
    WalReceiver receiver;
  };

  void stream(std::stop_token stop);
  void supervise(Opened& opened, std::stop_token stop);
  Result<bool> was_replaced(const Opened& opened);
  Result<std::shared_ptr<Opened>> open(const ServerIdentity& server);
  Result<std::shared_ptr<Opened>> open_by_server(std::stop_token stop);
  Result<std::shared_ptr<Opened>> open_by_file(const ArchivedFile& file);
  std::shared_ptr<Opened> adopt(IncarnationStore store);
  std::shared_ptr<Opened> opened() const;
  Result<PutOutcome> read_and_store(const Path& path);
  void note_trouble(const Error& error);
  Result<BaseBackupRequest> backup_request(const BackupOptions& options, Observer& observer) const;
  Result<BackupManifest> run_backup(const BackupOptions& options, BackupProgress& progress,
                                    Observer& observer, std::stop_token stop);
  Result<std::shared_ptr<BackupProgress>> begin_backup();
  void end_backup(const Result<BackupManifest>& result);

  Repository& repository_;
  const ClusterConfig config_;
  Clock& clock_;
  ClusterCounters counters_;
  std::stop_source stop_;
  mutable std::mutex mutex_;
  std::shared_ptr<Opened> opened_;  // guarded, as are those below
  bool is_streaming_ = false;
  std::string trouble_;
  std::shared_ptr<BackupProgress> running_backup_;
  Timestamp backup_started_;
  std::optional<EndedBackup> last_backup_run_;
  std::jthread streaming_;  // last: it uses all of the above
};

}  // namespace pitr
