#include "agent/reports/expire_json.h"

#include <nlohmann/json.hpp>

namespace pitr {

using Json = nlohmann::json;

static Json to_json(const RetentionDecision& decision) {
  Json reasons = Json::array();
  for (const auto& reason : decision.kept_by) {
    reasons.push_back({{"tier", to_string(reason.tier)},
                       {"detail", reason.detail},
                       {"until", reason.until ? Json(to_string(*reason.until)) : Json()}});
  }
  const auto until = decision.until();
  return {{"keep", decision.keep()},
          {"kept_by", std::move(reasons)},
          {"kept_for_good", decision.is_kept_for_good()},
          {"until", until ? Json(to_string(*until)) : Json()},
          {"goes_because", decision.not_kept_by}};
}

static Json to_json(const ObjectCount& count) {
  return {{"objects", count.objects}, {"bytes", count.bytes}};
}

Json to_json(const ExpireReport& report, const std::string& cluster, bool is_dry_run) {
  Json backups = Json::array();
  for (const auto& decision : report.plan.decisions) {
    const auto& backup = report.backups[decision.backup];
    auto json = to_json(decision);
    json["id"] = backup.id.text();
    json["incarnation"] = to_string(backup.incarnation);
    json["start_time"] = to_string(backup.start_time);
    json["stop_time"] = to_string(backup.stop_time);
    json["own_bytes"] = backup.own_bytes;
    json["held"] = backup.held.empty() ? Json() : Json(backup.held);
    backups.push_back(std::move(json));
  }
  Json wal = Json::array();
  for (const auto& range : report.plan.wal) {
    const bool is_open = range.to_lsn == KeptWal::kOpenEnd;
    wal.push_back({{"incarnation", to_string(report.incarnations[range.incarnation])},
                   {"timeline", range.timeline},
                   {"from_lsn", to_string(Lsn(range.from_lsn))},
                   {"to_lsn", is_open ? Json() : Json(to_string(Lsn(range.to_lsn)))}});
  }
  return {{"cluster", cluster},
          {"dry_run", is_dry_run},
          {"window_start", to_string(report.plan.window_start)},
          {"backups", std::move(backups)},
          {"kept_wal", std::move(wal)},
          {"dropped_backups", report.dropped_backups},
          {"unneeded_files", to_json(report.unneeded_files)},
          {"unneeded_wal", to_json(report.unneeded_wal)},
          {"leaked", to_json(report.leaked)},
          {"waiting", to_json(report.waiting)},
          {"deleted", to_json(report.deleted)},
          {"warnings", report.warnings}};
}

Json to_json(const SimulatedRetention& simulated) {
  Json backups = Json::array();
  for (const auto& decision : simulated.plan.decisions) {
    auto json = to_json(decision);
    json["time"] = to_string(simulated.input.backups[decision.backup].stop_time);
    backups.push_back(std::move(json));
  }
  return {{"end", to_string(simulated.input.now)},
          {"window_start", to_string(simulated.plan.window_start)},
          {"backups_taken", simulated.backups_taken},
          {"most_kept", simulated.most_kept},
          {"backups", std::move(backups)}};
}

}  // namespace pitr
