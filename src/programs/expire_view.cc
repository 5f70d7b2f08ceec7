#include "programs/expire_view.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "programs/terminal_progress.h"
#include "programs/text_table.h"

namespace pitr {

using Json = nlohmann::json;

namespace {

std::string join(const std::vector<std::string>& parts, std::string_view between) {
  return fmt::format("{}", fmt::join(parts, between));
}

std::string reasons_text(const RetentionDecision& decision) {
  std::vector<std::string> reasons;
  for (const auto& reason : decision.kept_by) {
    const auto tier = to_string(reason.tier);
    reasons.push_back(reason.detail.empty() ? std::string(tier)
                                            : fmt::format("{} {}", tier, reason.detail));
  }
  return join(reasons, ", ");
}

std::string until_text(const RetentionDecision& decision, const TimeZone& zone) {
  if (decision.is_kept_for_good()) return "unpinned";
  const auto until = decision.until();
  return until ? zone.to_local_text(*until) : "newer ones come";
}

std::string count_text(const ObjectCount& count) {
  return fmt::format("{} in {} object{}", format_bytes(count.bytes), count.objects,
                     count.objects == 1 ? "" : "s");
}

Json to_json(const RetentionDecision& decision) {
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

Json to_json(const ObjectCount& count) {
  return {{"objects", count.objects}, {"bytes", count.bytes}};
}

std::string table_of(const ExpireReport& report, const TimeZone& zone) {
  TextTable table;
  for (const char* title : {"BACKUP", "ENDED", "KEPT BY", "UNTIL"}) table.add_column(title);
  table.add_column("ITS OWN", Align::kRight);
  for (const auto& decision : report.plan.decisions) {
    const auto& backup = report.backups[decision.backup];
    auto kept_by = decision.keep() ? reasons_text(decision) : "- goes";
    if (!backup.held.empty()) kept_by = backup.held;
    const auto until = decision.keep()       ? until_text(decision, zone)
                       : backup.held.empty() ? std::string("now")
                                             : std::string("it is free");
    table.add_row({backup.id.text(), zone.to_local_text(backup.stop_time), std::move(kept_by),
                   until, format_bytes(backup.own_bytes)});
  }
  return table.to_text();
}

std::string why_they_go(const ExpireReport& report) {
  std::string text;
  for (const auto& decision : report.plan.decisions) {
    if (decision.keep()) continue;
    text += fmt::format("{} goes:\n  {}\n", report.backups[decision.backup].id.text(),
                        join(decision.not_kept_by, "\n  "));
  }
  return text.empty() ? text : "\n" + text;
}

}  // namespace

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

std::string expire_text(const ExpireReport& report, const std::string& cluster, bool is_dry_run,
                        const TimeZone& zone) {
  std::string text = fmt::format("Cluster {}, recovery window from {}\n\n", cluster,
                                 zone.to_local_text(report.plan.window_start));
  text += table_of(report, zone);
  text += why_they_go(report);
  text += "\n";
  const auto add = [&](std::string_view what, const std::string& value) {
    text += fmt::format("{:<31}  {}\n", what, value);
  };
  add(is_dry_run ? "backups that would go" : "backups that went",
      std::to_string(report.dropped_backups));
  add("no longer needed, files", count_text(report.unneeded_files));
  add("no longer needed, WAL", count_text(report.unneeded_wal));
  if (report.leaked.objects > 0) {
    add("of that, left by what was killed", count_text(report.leaked));
  }
  if (report.waiting.objects > 0) add("waiting in trash", count_text(report.waiting));
  add(is_dry_run ? "would be deleted now" : "deleted now", count_text(report.deleted));
  for (const auto& warning : report.warnings) text += "warning: " + warning + "\n";
  text += is_dry_run ? "\nNothing was changed.\n"
                     : "\nWhat is no longer needed is deleted by a run after the grace.\n";
  return text;
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

std::string simulation_text(const SimulatedRetention& simulated, const TimeZone& zone) {
  TextTable table;
  for (const char* title : {"BACKUP", "KEPT BY", "UNTIL"}) table.add_column(title);
  for (const auto& decision : simulated.plan.decisions) {
    const auto& backup = simulated.input.backups[decision.backup];
    table.add_row(
        {zone.to_local_text(backup.stop_time), reasons_text(decision), until_text(decision, zone)});
  }
  return fmt::format(
      "After {} backups, on {}, {} are left (never more than {}). Every moment from "
      "{} on can be restored.\n\n{}",
      simulated.backups_taken, zone.to_local_text(simulated.input.now),
      simulated.input.backups.size(), simulated.most_kept,
      zone.to_local_text(simulated.plan.window_start), table.to_text());
}

}  // namespace pitr
