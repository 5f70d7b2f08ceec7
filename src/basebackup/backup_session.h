// The SQL side of a local backup: pg_backup_start and pg_backup_stop (13 and 14: pg_start_backup
// and pg_stop_backup, non-exclusive), on one connection, whose end aborts the backup. One thread.
#pragma once

#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "common/clock.h"
#include "common/file.h"
#include "postgres/connection.h"
#include "repository/backup/backup_manifest.h"

namespace pitr {

struct StoppedBackup {
  Lsn stop_lsn;
  Timestamp time;
  std::string backup_label;
  std::string tablespace_map;
};

class BackupSession {
 public:
  static Result<BackupSession> open(const std::string& conninfo, std::stop_token stop);

  // Refuses (kInvalid) a directory that isn't the one of the server connected to: of another
  // cluster, or of a standby or copy on the same host, which has the same system identifier.
  Result<void> check_data_directory(const Path& data_directory);

  // The start checkpoint's redo. Waits for a checkpoint.
  Result<Lsn> start(const std::string& label, bool fast_checkpoint);
  Result<StoppedBackup> stop();

  Result<std::vector<TablespaceInfo>> tablespaces();
  Result<Timestamp> server_time();
  bool is_standby() const { return is_standby_; }
  int server_version_num() const { return connection_.server_version_num(); }
  int server_major() const { return connection_.server_major(); }

 private:
  BackupSession(Connection connection, std::stop_token stop)
      : connection_(std::move(connection)), stop_(std::move(stop)) {}

  Connection connection_;
  std::stop_token stop_;
  bool is_standby_ = false;
};

}  // namespace pitr
