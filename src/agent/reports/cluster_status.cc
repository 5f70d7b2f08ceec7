#include "agent/reports/cluster_status.h"

#include "agent/reports/repository_report.h"
#include "postgres/connection.h"
#include "postgres/replication.h"
#include "repository/incarnations.h"

namespace pitr {

static constexpr Seconds kPatience{3};

static std::string to_text(SlotWalStatus status) {
  switch (status) {
    case SlotWalStatus::kNothingReserved:
      return "nothing reserved";
    case SlotWalStatus::kReserved:
      return "reserved";
    case SlotWalStatus::kExtended:
      return "extended";
    case SlotWalStatus::kUnreserved:
      return "unreserved";
    case SlotWalStatus::kLost:
      return "lost";
  }
  return "unknown";
}

// Of WAL that the server keeps for the slot.
static Result<std::uint64_t> retained_bytes(Connection& connection, Lsn restart_lsn,
                                            std::stop_token stop) {
  const auto rows =
      TRY(connection.query("SELECT CASE WHEN pg_is_in_recovery() "
                           "THEN coalesce(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()) "
                           "ELSE pg_current_wal_lsn() END AS wal_end",
                           {}, stop));
  const auto row = TRY(rows.only_row());
  const auto end = TRY(row.lsn("wal_end"));
  return end > restart_lsn ? end - restart_lsn : 0;
}

Result<SlotReport> report_slot(const ClusterConfig& config, std::stop_token stop) {
  ConnectionOptions options;
  options.application_name = "pitr status";
  options.connect_timeout = kPatience;
  auto connection = TRY(Connection::open(config.connection, options, stop));
  const auto found = read_slot(connection, config.slot, stop);
  SlotReport report;
  if (!found && found.error().kind() == ErrorKind::kNotFound) return report;
  if (!found) return found.error();
  report.exists = true;
  report.active = found->active;
  report.wal_status = to_text(found->wal_status);
  report.restart_lsn = found->restart_lsn;
  report.safe_wal_size_bytes = found->safe_wal_size_bytes;
  if (found->restart_lsn) {
    const auto retained = retained_bytes(connection, *found->restart_lsn, stop);
    if (retained) report.retained_bytes = *retained;  // a standby may know no position yet
  }
  return report;
}

static Result<RepositoryReport> report_cluster(Repository& repository, const std::string& cluster) {
  const auto store = TRY(newest_incarnation(repository, cluster));
  return report_repository(store);
}

ClusterStatus collect_cluster_status(const ClusterConfig& config,
                                     const std::optional<ServiceStatus>& service,
                                     Repository* repository, const std::string& trouble,
                                     std::stop_token stop) {
  ClusterStatus status;
  status.name = config.name;
  status.server = describe_conninfo(config.connection);
  status.agent = service.has_value();
  if (service) status.service = *service;
  status.repository_trouble = trouble;
  if (repository != nullptr) {
    auto report = report_cluster(*repository, config.name);
    if (report) {
      status.repository = std::move(*report);
    } else {
      status.repository_trouble = report.error().message();
    }
  }
  auto slot = report_slot(config, stop);
  if (slot) {
    status.slot = std::move(*slot);
  } else {
    status.slot_trouble = slot.error().message();
  }
  return status;
}

}  // namespace pitr
