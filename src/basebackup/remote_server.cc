#include "basebackup/remote_server.h"

#include <fmt/format.h>

#include "postgres/replication.h"

namespace pitr {
namespace {

constexpr int kFirstMajorWithSummaries = 17;

Result<Timestamp> time_of(const QueryResult::Row& row) {
  return Timestamp::from_unix_us(static_cast<std::int64_t>(TRY(row.u64("now"))));
}

Result<void> ask_position(const std::string& conninfo, RemoteServer& server, std::stop_token stop) {
  ConnectionOptions options;
  options.application_name = "pitr backup";
  auto connection = TRY(ReplicationConnection::open(conninfo, options, stop));
  const auto identity = TRY(connection.identify_system(stop));
  server.system_identifier = identity.system_identifier;
  server.timeline = identity.timeline;
  server.position = identity.position;
  if (identity.timeline == TimelineId(1)) {
    server.history = TimelineHistory::without_ancestors(identity.timeline);
    return {};
  }
  const auto text = connection.timeline_history(identity.timeline, stop);
  if (text) {
    server.history = TRY(TimelineHistory::parse(identity.timeline, as_text(*text)));
  } else if (text.error().kind() != ErrorKind::kNotFound) {
    return text.error();
  }
  return {};
}

}  // namespace

Result<RemoteServer> ask_remote_server(const std::string& conninfo, std::stop_token stop) {
  auto connection = TRY(Connection::open(conninfo, {}, stop));
  const auto rows = TRY(connection.query(
      "WITH places AS (SELECT pg_tablespace_location(oid) AS place FROM pg_tablespace "
      "WHERE oid NOT IN (1663, 1664)) "
      "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS now, "
      "pg_is_in_recovery() AS standby, "
      "EXISTS (SELECT FROM places WHERE place ~ '^/') AS linked, "
      "EXISTS (SELECT FROM places WHERE place !~ '^/') AS in_place, "
      "current_setting('data_checksums')::bool AS checksums, "
      "current_setting('wal_log_hints')::bool AS hints, "
      "current_setting('summarize_wal', true)::bool AS summaries, "
      "(SELECT redo_lsn FROM pg_control_checkpoint()) AS redo",
      {}, stop));
  const auto row = TRY(rows.only_row());
  RemoteServer server;
  server.major = connection.server_major();
  server.now = TRY(time_of(row));
  server.is_standby = TRY(row.boolean("standby"));
  server.has_linked_tablespaces = TRY(row.boolean("linked"));
  server.has_in_place_tablespaces = TRY(row.boolean("in_place"));
  server.data_checksums = TRY(row.boolean("checksums"));
  server.wal_log_hints = TRY(row.boolean("hints"));
  server.checkpoint_redo = TRY(row.lsn("redo"));
  const auto summaries = TRY(row.value("summaries"));
  if (summaries) server.summarizes_wal = TRY(row.boolean("summaries"));
  TRY(ask_position(conninfo, server, stop));
  return server;
}

Result<Timestamp> ask_server_time(const std::string& conninfo, std::stop_token stop) {
  auto connection = TRY(Connection::open(conninfo, {}, stop));
  const auto rows = TRY(connection.query(
      "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS now", {}, stop));
  return time_of(TRY(rows.only_row()));
}

std::string why_all_is_sent(const RemoteServer& server, bool keeps_server_manifest) {
  if (server.major < kFirstMajorWithSummaries) {
    return fmt::format(
        "over the connection PostgreSQL {} sends everything; from 17 on it can send only what "
        "changed",
        server.major);
  }
  if (!server.summarizes_wal.value_or(false)) {
    return "the server has summarize_wal off, so it sends everything over the connection";
  }
  if (keeps_server_manifest) {
    return "the server's own manifest is kept, which belongs to a backup that it sends whole";
  }
  return "";
}

}  // namespace pitr
