#include "basebackup/backup_session.h"

#include <fmt/format.h>

#include <cstdlib>

#include "postgres/control_file.h"
#include "postgres/data_directory.h"

namespace pitr {

// postmaster.pid is written a moment before pg_postmaster_start_time() is taken.
static constexpr std::int64_t kStartTimeToleranceSeconds = 60;

Result<BackupSession> BackupSession::open(const std::string& conninfo, std::stop_token stop) {
  ConnectionOptions options;
  options.application_name = "pitr backup";
  auto connection = TRY(Connection::open(conninfo, options, stop));
  // A backup must not be cut short by settings meant for applications.
  TRY(
      connection.command("SET statement_timeout = 0; SET lock_timeout = 0;"
                         "SET idle_in_transaction_session_timeout = 0; SET client_min_messages = "
                         "warning; SET search_path = pg_catalog",
                         {}, stop));
  BackupSession session(std::move(connection), stop);
  const auto rows =
      TRY(session.connection_.query("SELECT pg_is_in_recovery() AS standby", {}, stop));
  const auto row = TRY(rows.only_row());
  session.is_standby_ = TRY(row.boolean("standby"));
  return session;
}

Result<void> BackupSession::check_data_directory(const Path& data_directory) {
  const auto rows =
      TRY(connection_.query("SELECT s.system_identifier AS id, current_setting('port') AS port, "
                            "extract(epoch FROM pg_postmaster_start_time())::bigint AS started "
                            "FROM pg_control_system() s",
                            {}, stop_));
  const auto row = TRY(rows.only_row());
  const auto identifier = TRY(row.u64("id"));
  const auto port = TRY(row.u64("port"));
  const auto started = TRY(row.u64("started"));

  const auto control = TRY(read_control_file(data_directory));
  if (control.system_identifier != identifier) {
    return Error::invalid(fmt::format("{} belongs to another cluster: its system identifier is {}, "
                                      "that of {} is {}",
                                      data_directory.native(), control.system_identifier,
                                      connection_.describe(), identifier))
        .with_hint("correct data_directory or connection in the configuration");
  }
  const auto pid = TRY(read_postmaster_pid(data_directory));
  const auto apart = std::llabs(pid.start_time_unix - static_cast<std::int64_t>(started));
  if (pid.port != port || apart > kStartTimeToleranceSeconds) {
    return Error::invalid(
               fmt::format("{} is the data directory of a server on port {}, but the connection "
                           "({}) leads to another one on port {}",
                           data_directory.native(), pid.port, connection_.describe(), port))
        .with_hint(
            "a standby or copy on the same host looks alike; correct data_directory or "
            "connection in the configuration");
  }
  return {};
}

Result<Lsn> BackupSession::start(const std::string& label, bool fast_checkpoint) {
  const std::string sql = server_major() >= 15 ? "SELECT pg_backup_start($1, $2) AS lsn"
                                               : "SELECT pg_start_backup($1, $2, false) AS lsn";
  const auto rows =
      TRY(connection_.query(sql, {label, std::string(fast_checkpoint ? "true" : "false")}, stop_));
  const auto row = TRY(rows.only_row());
  return TRY(row.lsn("lsn"));
}

// Does not wait for archive_command: the WAL comes by streaming, and its arrival is checked.
Result<StoppedBackup> BackupSession::stop() {
  const std::string call =
      server_major() >= 15 ? "pg_backup_stop(false)" : "pg_stop_backup(false, false)";
  const auto rows =
      TRY(connection_.query("SELECT lsn, labelfile, spcmapfile FROM " + call, {}, stop_));
  const auto row = TRY(rows.only_row());
  StoppedBackup stopped;
  stopped.stop_lsn = TRY(row.lsn("lsn"));
  stopped.backup_label = TRY(row.text("labelfile"));
  const auto map = TRY(row.value("spcmapfile"));
  stopped.tablespace_map = map.value_or("");
  stopped.time = TRY(server_time());
  return stopped;
}

Result<std::vector<TablespaceInfo>> BackupSession::tablespaces() {
  const auto rows = TRY(connection_.query(
      "SELECT oid::bigint AS oid, pg_tablespace_location(oid) AS location FROM pg_tablespace "
      "WHERE oid NOT IN (1663, 1664) ORDER BY oid",
      {}, stop_));
  std::vector<TablespaceInfo> tablespaces;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    TablespaceInfo tablespace;
    tablespace.oid = static_cast<std::uint32_t>(TRY(rows[i].u64("oid")));
    tablespace.location = TRY(rows[i].text("location"));
    // In place (15 and newer): a directory inside the data directory, given relative to it.
    if (!tablespace.location.starts_with('/')) tablespace.location.clear();
    tablespaces.push_back(std::move(tablespace));
  }
  return tablespaces;
}

Result<Timestamp> BackupSession::server_time() {
  const auto rows = TRY(connection_.query(
      "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS now", {}, stop_));
  const auto row = TRY(rows.only_row());
  return Timestamp::from_unix_us(static_cast<std::int64_t>(TRY(row.u64("now"))));
}

}  // namespace pitr
