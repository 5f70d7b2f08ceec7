#include "programs/verify_view.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "programs/terminal_progress.h"
#include "programs/text_table.h"

namespace pitr {

static std::string counted(std::uint64_t count, std::string_view what) {
  return fmt::format("{} {}{}", count, what, count == 1 ? "" : "s");
}

static std::string summary(const VerifyReport& report, const std::string& cluster) {
  const auto count = [&](BackupVerdict verdict) {
    return static_cast<std::uint64_t>(
        std::ranges::count(report.backups, verdict, &VerifiedBackup::verdict));
  };
  auto text = fmt::format(
      "{}: {} verified {}, {} read; {} good", cluster, counted(report.checked_objects, "object"),
      report.depth == VerifyDepth::kFull ? "in full" : "without decrypting (--quick)",
      format_bytes(report.checked_bytes), counted(count(BackupVerdict::kGood), "backup"));
  if (const auto damaged = count(BackupVerdict::kDamaged)) {
    text += fmt::format(", {} damaged", damaged);
  }
  if (const auto unknown = count(BackupVerdict::kNotChecked)) {
    text += fmt::format(", {} not checked", unknown);
  }
  if (report.unchecked_objects > 0) {
    text += fmt::format("\n{} could not be checked", counted(report.unchecked_objects, "object"));
  }
  if (report.was_stopped) text += "\nIt was stopped: what was not reached yet isn't checked.";
  return text + "\n";
}

static std::string touched(const VerifyFinding& finding) {
  if (finding.backups.empty()) return "-";
  std::string ids;
  for (const auto& backup : finding.backups) {
    ids += (ids.empty() ? "" : " ") + backup.text().substr(0, backup.text().find('-'));
  }
  return ids;
}

static std::string lost(const VerifyFinding& finding) {
  if (!finding.lost) return "-";
  const auto to = finding.lost->to ? to_string(*finding.lost->to) : std::string("the end");
  return fmt::format("{} to {}, timeline {}", to_string(finding.lost->from), to,
                     finding.lost->timeline.value());
}

std::string verify_text(const VerifyReport& report, const std::string& cluster) {
  auto text = summary(report, cluster);
  if (!report.findings.empty()) {
    TextTable table;
    for (const char* title : {"FOUND", "OBJECT", "BACKUPS", "NO RESTORE INTO"}) {
      table.add_column(title);
    }
    for (const auto& finding : report.findings) {
      table.add_row(
          {std::string(to_string(finding.kind)), finding.object, touched(finding), lost(finding)});
    }
    text += "\n" + table.to_text() + "\n";
    for (const auto& finding : report.findings) {
      text += finding.problem.message();
      if (!finding.problem.hint().empty()) text += "; " + finding.problem.hint();
      text += "\n";
    }
  }
  const bool has_packs = std::ranges::any_of(report.findings, [](const VerifyFinding& finding) {
    return finding.kind != FindingKind::kUnchecked && finding.object.contains("/pack/");
  });
  if (has_packs) {
    text += "The next backup stores what is in damaged packs again: \"pitr backup\" takes one.\n";
  }
  for (const auto& warning : report.warnings) text += "WARNING: " + warning + "\n";
  return text;
}

static nlohmann::json to_json(const VerifyFinding& finding) {
  nlohmann::json json{{"found", to_string(finding.kind)},
                      {"object", finding.object},
                      {"problem", finding.problem.message()},
                      {"hint", finding.problem.hint()},
                      {"error", to_string(finding.problem.kind())},
                      {"backups", nlohmann::json::array()},
                      {"lost_wal", nullptr}};
  for (const auto& backup : finding.backups) json["backups"].push_back(backup.text());
  if (finding.lost) {
    json["lost_wal"] = {{"timeline", finding.lost->timeline.value()},
                        {"from_lsn", to_string(finding.lost->from)},
                        {"to_lsn", nullptr}};
    if (finding.lost->to) json["lost_wal"]["to_lsn"] = to_string(*finding.lost->to);
  }
  return json;
}

nlohmann::json to_json(const VerifyReport& report, const std::string& cluster) {
  nlohmann::json json{{"cluster", cluster},
                      {"depth", report.depth == VerifyDepth::kFull ? "full" : "quick"},
                      {"checked_objects", report.checked_objects},
                      {"checked_bytes", report.checked_bytes},
                      {"unchecked_objects", report.unchecked_objects},
                      {"stopped", report.was_stopped},
                      {"backups", nlohmann::json::array()},
                      {"findings", nlohmann::json::array()},
                      {"warnings", report.warnings}};
  for (const auto& backup : report.backups) {
    json["backups"].push_back({{"id", backup.id.text()},
                               {"incarnation", to_string(backup.incarnation)},
                               {"verdict", to_string(backup.verdict)}});
  }
  for (const auto& finding : report.findings) json["findings"].push_back(to_json(finding));
  return json;
}

}  // namespace pitr
