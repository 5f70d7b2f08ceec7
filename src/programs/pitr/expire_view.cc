#include "programs/pitr/expire_view.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "programs/pitr/text_table.h"
#include "programs/terminal_progress.h"
#include "restore/plan/timestamp_text.h"

namespace pitr {

using Json = nlohmann::json;

namespace {

std::string text(const Json& object, const char* member) {
  const auto found = object.find(member);
  return found == object.end() || !found->is_string() ? std::string() : found->get<std::string>();
}

std::uint64_t number(const Json& object, const char* member) {
  return object.value(member, std::uint64_t{0});
}

// As it is where it can't be read: another version may write it another way.
std::string local_time(const Json& object, const char* member, const TimeZone& zone) {
  const auto time = parse_timestamp(text(object, member), "UTC");
  return time ? zone.to_local_text(time->time) : text(object, member);
}

std::string reasons_text(const Json& decision) {
  std::string reasons;
  for (const auto& reason : decision.at("kept_by")) {
    const auto detail = text(reason, "detail");
    reasons += (reasons.empty() ? "" : ", ") + text(reason, "tier");
    if (!detail.empty()) reasons += " " + detail;
  }
  return reasons;
}

std::string until_text(const Json& decision, const TimeZone& zone) {
  if (decision.value("kept_for_good", false)) return "unpinned";
  return text(decision, "until").empty() ? "newer ones come" : local_time(decision, "until", zone);
}

std::string count_text(const Json& report, const char* member) {
  const auto& count = report.at(member);
  const auto objects = number(count, "objects");
  return fmt::format("{} in {} object{}", format_bytes(number(count, "bytes")), objects,
                     objects == 1 ? "" : "s");
}

std::string table_of(const Json& backups, const TimeZone& zone) {
  TextTable table;
  for (const char* title : {"BACKUP", "ENDED", "KEPT BY", "UNTIL"}) table.add_column(title);
  table.add_column("ITS OWN", Align::kRight);
  for (const auto& backup : backups) {
    const bool keep = backup.value("keep", true);
    const auto held = text(backup, "held");
    auto kept_by = keep ? reasons_text(backup) : "- goes";
    if (!held.empty()) kept_by = held;
    const auto until = keep           ? until_text(backup, zone)
                       : held.empty() ? std::string("now")
                                      : std::string("it is free");
    table.add_row({text(backup, "id"), local_time(backup, "stop_time", zone), std::move(kept_by),
                   until, format_bytes(number(backup, "own_bytes"))});
  }
  return table.to_text();
}

std::string why_they_go(const Json& backups) {
  std::string lines;
  for (const auto& backup : backups) {
    if (backup.value("keep", true)) continue;
    lines += text(backup, "id") + " goes:";
    for (const auto& reason : backup.at("goes_because")) {
      lines += "\n  " + reason.get<std::string>();
    }
    lines += "\n";
  }
  return lines.empty() ? lines : "\n" + lines;
}

}  // namespace

std::string expire_text(const Json& report, const TimeZone& zone) {
  const bool is_dry_run = report.value("dry_run", false);
  std::string lines =
      fmt::format("Cluster {}, recovery window from {}\n\n", text(report, "cluster"),
                  local_time(report, "window_start", zone));
  lines += table_of(report.at("backups"), zone);
  lines += why_they_go(report.at("backups"));
  lines += "\n";
  const auto add = [&](std::string_view what, const std::string& value) {
    lines += fmt::format("{:<31}  {}\n", what, value);
  };
  add(is_dry_run ? "backups that would go" : "backups that went",
      std::to_string(number(report, "dropped_backups")));
  add("no longer needed, files", count_text(report, "unneeded_files"));
  add("no longer needed, WAL", count_text(report, "unneeded_wal"));
  if (number(report.at("leaked"), "objects") > 0) {
    add("of that, left by what was killed", count_text(report, "leaked"));
  }
  if (number(report.at("waiting"), "objects") > 0) {
    add("waiting in trash", count_text(report, "waiting"));
  }
  add(is_dry_run ? "would be deleted now" : "deleted now", count_text(report, "deleted"));
  for (const auto& warning : report.at("warnings")) {
    lines += "warning: " + warning.get<std::string>() + "\n";
  }
  lines += is_dry_run ? "\nNothing was changed.\n"
                      : "\nWhat is no longer needed is deleted by a run after the grace.\n";
  return lines;
}

std::string simulation_text(const Json& simulated, const TimeZone& zone) {
  TextTable table;
  for (const char* title : {"BACKUP", "KEPT BY", "UNTIL"}) table.add_column(title);
  for (const auto& backup : simulated.at("backups")) {
    table.add_row(
        {local_time(backup, "time", zone), reasons_text(backup), until_text(backup, zone)});
  }
  return fmt::format(
      "After {} backups, on {}, {} are left (never more than {}). Every moment from "
      "{} on can be restored.\n\n{}",
      number(simulated, "backups_taken"), local_time(simulated, "end", zone),
      simulated.at("backups").size(), number(simulated, "most_kept"),
      local_time(simulated, "window_start", zone), table.to_text());
}

}  // namespace pitr
