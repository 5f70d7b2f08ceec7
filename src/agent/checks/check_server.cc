#include "agent/checks/check_server.h"

#include <fmt/format.h>

#include <cstdlib>

#include "agent/reports/cluster_status.h"
#include "common/readable.h"
#include "postgres/connection.h"
#include "postgres/control_file.h"
#include "postgres/data_directory.h"

namespace pitr {
namespace {

constexpr Seconds kConnectTimeout{5};
constexpr Microseconds kMostSkew = Seconds(1);

struct ServerFacts {
  int major = 0;
  std::string user;
  bool can_replicate = false;
  bool can_back_up = false;
  bool in_recovery = false;
  std::string wal_level, archive_mode, archive_command, archive_library;
  bool full_page_writes = false, fsync = false, data_checksums = false;
  std::optional<bool> summarize_wal;  // none: before 17
  std::uint64_t max_wal_senders = 0, wal_senders = 0;
  std::uint64_t max_slots = 0, slots = 0;
  std::string max_slot_wal_keep_size;
  Timestamp time;
};

std::string backup_function(int major) {
  return major >= 15 ? "pg_catalog.pg_backup_start(text, boolean)"
                     : "pg_catalog.pg_start_backup(text, boolean, boolean)";
}

Result<ServerFacts> ask(Connection& connection, std::stop_token stop) {
  ServerFacts facts;
  facts.major = connection.server_major();
  const auto function = TRY(connection.quote_literal(backup_function(facts.major)));
  const std::string sql =
      "SELECT current_user AS user_name, rolreplication OR rolsuper AS can_replicate,"
      " has_function_privilege(" +
      function +
      ", 'EXECUTE') AS can_back_up,"
      " pg_is_in_recovery() AS in_recovery,"
      " current_setting('wal_level') AS wal_level,"
      " current_setting('archive_mode') AS archive_mode,"
      " coalesce(current_setting('archive_command', true), '') AS archive_command,"
      " coalesce(current_setting('archive_library', true), '') AS archive_library,"
      " current_setting('full_page_writes')::bool AS full_page_writes,"
      " current_setting('fsync')::bool AS fsync,"
      " current_setting('data_checksums')::bool AS data_checksums,"
      " current_setting('summarize_wal', true)::bool AS summarize_wal,"
      " current_setting('max_wal_senders') AS max_wal_senders,"
      " current_setting('max_replication_slots') AS max_slots,"
      " current_setting('max_slot_wal_keep_size', true) AS keep_size,"
      " (SELECT count(*) FROM pg_stat_replication) AS wal_senders,"
      " (SELECT count(*) FROM pg_replication_slots) AS slots,"
      " (extract(epoch FROM clock_timestamp()) * 1000000)::int8 AS time_us"
      " FROM pg_roles WHERE rolname = current_user";
  const auto rows = TRY(connection.query(sql, {}, stop));
  const auto row = TRY(rows.only_row());
  facts.user = TRY(row.text("user_name"));
  facts.can_replicate = TRY(row.boolean("can_replicate"));
  facts.can_back_up = TRY(row.boolean("can_back_up"));
  facts.in_recovery = TRY(row.boolean("in_recovery"));
  facts.wal_level = TRY(row.text("wal_level"));
  facts.archive_mode = TRY(row.text("archive_mode"));
  facts.archive_command = TRY(row.text("archive_command"));
  facts.archive_library = TRY(row.text("archive_library"));
  facts.full_page_writes = TRY(row.boolean("full_page_writes"));
  facts.fsync = TRY(row.boolean("fsync"));
  facts.data_checksums = TRY(row.boolean("data_checksums"));
  const auto summarize_wal = TRY(row.value("summarize_wal"));
  if (summarize_wal) facts.summarize_wal = TRY(row.boolean("summarize_wal"));
  facts.max_wal_senders = TRY(row.u64("max_wal_senders"));
  facts.wal_senders = TRY(row.u64("wal_senders"));
  facts.max_slots = TRY(row.u64("max_slots"));
  facts.slots = TRY(row.u64("slots"));
  const auto keep_size = TRY(row.value("keep_size"));
  facts.max_slot_wal_keep_size = keep_size.value_or("-1");
  const auto time_us = TRY(row.u64("time_us"));
  facts.time = Timestamp::from_unix_us(static_cast<std::int64_t>(time_us));
  return facts;
}

void check_privileges(const ServerFacts& server, Findings& findings) {
  if (server.can_replicate && server.can_back_up) {
    return findings.ok("privileges", server.user + " may replicate and take backups");
  }
  if (!server.can_replicate) {
    findings.problem("privileges", server.user + " may not replicate",
                     fmt::format("ALTER ROLE \"{}\" REPLICATION;", server.user));
  }
  if (!server.can_back_up) {
    const std::string stop =
        server.major >= 15 ? "pg_backup_stop(boolean)" : "pg_stop_backup(boolean, boolean)";
    findings.problem("privileges", server.user + " may not call the backup functions",
                     fmt::format("GRANT EXECUTE ON FUNCTION {}, {} TO \"{}\"; (not needed for "
                                 "backup method: remote)",
                                 backup_function(server.major), stop, server.user));
  }
}

void check_wal_settings(const ServerFacts& server, Findings& findings) {
  if (server.wal_level == "minimal") {
    findings.problem("wal_level", "is minimal, which doesn't hold what a restore needs",
                     "ALTER SYSTEM SET wal_level = replica; and restart the server");
  } else {
    findings.ok("wal_level", server.wal_level);
  }
  if (server.full_page_writes) {
    findings.ok("full_page_writes", "on");
  } else {
    findings.problem("full_page_writes", "is off: pages torn during a backup can't be repaired",
                     "ALTER SYSTEM SET full_page_writes = on; and reload");
  }
  if (server.fsync) {
    findings.ok("fsync", "on");
  } else {
    findings.problem("fsync", "is off: after a crash this server's data can't be trusted",
                     "ALTER SYSTEM SET fsync = on; and reload");
  }
  if (server.data_checksums) {
    findings.ok("data_checksums", "on");
  } else {
    findings.warning("data_checksums", "are off: damage on the disk is backed up unnoticed",
                     "pg_checksums --enable, while the server is down");
  }
}

// Only backups over the connection need them: local ones know from the stored WAL what changed.
void check_summaries(const ClusterConfig& cluster, const ServerFacts& server, Findings& findings) {
  const bool is_remote =
      !cluster.data_directory || cluster.backup.method == BackupConfig::Method::kRemote;
  if (!is_remote || !server.summarize_wal) return;
  if (*server.summarize_wal) {
    return findings.ok("summarize_wal", "on: backups over the connection send what changed");
  }
  findings.warning("summarize_wal", "is off: every backup over the connection sends everything",
                   "ALTER SYSTEM SET summarize_wal = on; and reload");
}

void check_capacity(const ServerFacts& server, Findings& findings) {
  // Streaming takes one, a remote backup another.
  const auto free_senders =
      server.max_wal_senders - std::min(server.wal_senders, server.max_wal_senders);
  const auto message =
      fmt::format("{} of {} are in use", server.wal_senders, server.max_wal_senders);
  if (free_senders == 0) {
    findings.warning("max_wal_senders", message,
                     fmt::format("ALTER SYSTEM SET max_wal_senders = {}; and restart the server",
                                 server.max_wal_senders + 4));
  } else {
    findings.ok("max_wal_senders", message);
  }
}

void check_slot(const ClusterConfig& cluster, const ServerFacts& server, std::stop_token stop,
                Findings& findings) {
  const auto slot = report_slot(cluster, stop);
  if (!slot) return findings.problem("slot", slot.error());
  if (!slot->exists && server.slots >= server.max_slots) {
    return findings.problem(
        "slot", fmt::format("all {} replication slots are taken", server.max_slots),
        fmt::format("ALTER SYSTEM SET max_replication_slots = {}; and restart the server",
                    server.max_slots + 4));
  }
  if (!slot->exists) {
    return findings.problem("slot",
                            cluster.slot +
                                " does not exist: WAL may be removed before it "
                                "is stored",
                            "pitr init makes it");
  }
  if (slot->wal_status == "lost") {
    return findings.problem("slot",
                            cluster.slot +
                                " is lost: the server removed WAL that was not "
                                "received",
                            "start the agent, which replaces it, and take a new backup");
  }
  if (slot->wal_status == "unreserved") {
    return findings.problem("slot", cluster.slot + " is about to be lost",
                            "start the agent, or raise max_slot_wal_keep_size");
  }
  const std::string state = fmt::format("{} is {}, WAL {}", cluster.slot,
                                        slot->active ? "in use" : "not in use", slot->wal_status);
  findings.ok("slot", state);
  if (server.max_slot_wal_keep_size == "-1") {
    findings.warning("slot limit",
                     "max_slot_wal_keep_size is unlimited: while no agent runs, WAL fills the disk",
                     "ALTER SYSTEM SET max_slot_wal_keep_size = '100GB'; as the disk allows");
  } else if (slot->safe_wal_size_bytes) {
    const auto left = std::max<std::int64_t>(*slot->safe_wal_size_bytes, 0);
    findings.ok("slot limit",
                format_bytes(static_cast<std::uint64_t>(left)) + " of WAL before the slot is lost");
  }
}

void check_archiving(const ServerFacts& server, Findings& findings) {
  if (server.archive_mode == "off") {
    return findings.ok("archive_mode", "off; streaming alone brings all WAL");
  }
  if (!server.archive_library.empty()) {
    return findings.ok("archive_library",
                       server.archive_library + " takes WAL elsewhere, which does no harm");
  }
  if (server.archive_command.empty() || server.archive_command == "(disabled)") {
    return findings.warning("archive_command",
                            "is empty while archive_mode is on: the server keeps "
                            "all WAL",
                            "ALTER SYSTEM SET archive_command = 'pitr-archive %p'; and reload");
  }
  if (!server.archive_command.contains("pitr-archive")) {
    return findings.ok("archive_command",
                       "\"" + server.archive_command + "\": WAL goes elsewhere as well");
  }
  if (!server.archive_command.contains("%p")) {
    return findings.problem("archive_command", "lacks %p, the file to archive",
                            "ALTER SYSTEM SET archive_command = 'pitr-archive %p'; and reload");
  }
  findings.ok("archive_command", server.archive_command);
}

void check_clock(const ServerFacts& server, Timestamp before, Timestamp after, Findings& findings) {
  const auto skew = server.time < before  ? before - server.time
                    : server.time > after ? server.time - after
                                          : Microseconds(0);
  if (skew <= kMostSkew) return findings.ok("clock", "agrees with the server's");
  findings.warning("clock", fmt::format("differs from the server's by {:.1f} s", to_seconds(skew)),
                   "synchronise both machines' clocks (chrony or systemd-timesyncd)");
}

// A standby or copy on the same host has the same system identifier: the server says itself where
// its files are, to those who may ask.
void check_data_directory(const ClusterConfig& cluster, Connection& connection,
                          const ServerIdentity& server, std::stop_token stop, Findings& findings) {
  if (!cluster.data_directory) {
    return findings.ok("data_directory", "not set: backups come over the connection");
  }
  const Path& directory = *cluster.data_directory;
  const auto found = read_directory_identity(directory);
  if (!found) {
    return findings.problem("data_directory", found.error(),
                            "run pitr as the user postgres, or correct data_directory");
  }
  if (found->system_identifier != server.system_identifier) {
    return findings.problem(
        "data_directory",
        fmt::format("{} belongs to another cluster: its system identifier is {}, the server's {}",
                    directory.native(), found->system_identifier, server.system_identifier),
        "correct data_directory or connection");
  }
  const auto pid = read_postmaster_pid(directory);
  if (!pid) {
    return findings.problem("data_directory",
                            "no server runs in " + directory.native() + ", and one answers",
                            "correct data_directory: this looks like a copy");
  }
  const auto asked = connection.query(
      "SELECT (extract(epoch FROM pg_postmaster_start_time()))::int8 AS started,"
      " current_setting('port') AS port",
      {}, stop);
  if (asked && asked->size() == 1) {
    const auto port = (*asked)[0].u64("port");
    if (port && *port != pid->port) {
      return findings.problem(
          "data_directory",
          fmt::format("the server in {} listens on port {}, the one that answers on {}",
                      directory.native(), pid->port, *port),
          "correct data_directory or connection: one of them is a standby or a copy");
    }
  }
  findings.ok("data_directory", directory.native() + " is the server's, and readable");
}

}  // namespace

std::optional<ServerIdentity> check_server(const ClusterConfig& cluster, const Clock& clock,
                                           std::stop_token stop, Findings& findings) {
  ConnectionOptions options;
  options.application_name = "pitr check";
  options.connect_timeout = kConnectTimeout;
  auto connection = Connection::open(cluster.connection, options, stop);
  if (!connection) {
    findings.problem("connection", connection.error(),
                     "start the server, or correct \"connection\" in the configuration");
    return std::nullopt;
  }
  findings.ok("connection", connection->describe());
  const auto before = clock.now();
  const auto facts = ask(*connection, stop);
  const auto after = clock.now();
  if (!facts) {
    findings.problem("settings", facts.error(), "GRANT pg_read_all_settings to the role");
    return std::nullopt;
  }
  check_privileges(*facts, findings);
  const auto identity = ask_server_identity(cluster.connection, stop);
  if (!identity) {
    findings.problem("replication", identity.error(),
                     "let the role in: a line for \"replication\" in pg_hba.conf, and REPLICATION");
  } else {
    findings.ok("replication",
                fmt::format("PostgreSQL {}, system identifier {}, WAL segments of {}",
                            identity->major_version, identity->system_identifier,
                            format_bytes(identity->segment_size.bytes())));
  }
  check_wal_settings(*facts, findings);
  check_summaries(cluster, *facts, findings);
  check_capacity(*facts, findings);
  check_slot(cluster, *facts, stop, findings);
  check_archiving(*facts, findings);
  check_clock(*facts, before, after, findings);
  if (!identity) return std::nullopt;
  check_data_directory(cluster, *connection, *identity, stop, findings);
  return *identity;
}

}  // namespace pitr
