#include "programs/pitr/verify_view.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "programs/pitr/text_table.h"
#include "programs/terminal_progress.h"

namespace pitr {

using Json = nlohmann::json;

static std::string text(const Json& object, const char* member) {
  const auto found = object.find(member);
  return found == object.end() || !found->is_string() ? std::string() : found->get<std::string>();
}

static std::uint64_t number(const Json& object, const char* member) {
  return object.value(member, std::uint64_t{0});
}

static std::string counted(std::uint64_t count, std::string_view what) {
  return fmt::format("{} {}{}", count, what, count == 1 ? "" : "s");
}

static std::string summary(const Json& report) {
  const auto count = [&](std::string_view verdict) {
    return static_cast<std::uint64_t>(std::ranges::count_if(
        report.at("backups"),
        [&](const Json& backup) { return text(backup, "verdict") == verdict; }));
  };
  auto lines =
      fmt::format("{}: {} verified {}, {} read; {} good", text(report, "cluster"),
                  counted(number(report, "checked_objects"), "object"),
                  text(report, "depth") == "full" ? "in full" : "without decrypting (--quick)",
                  format_bytes(number(report, "checked_bytes")), counted(count("good"), "backup"));
  if (const auto damaged = count("damaged")) lines += fmt::format(", {} damaged", damaged);
  if (const auto unknown = count("not checked")) lines += fmt::format(", {} not checked", unknown);
  if (const auto unchecked = number(report, "unchecked_objects")) {
    lines += fmt::format("\n{} could not be checked", counted(unchecked, "object"));
  }
  if (report.value("stopped", false)) {
    lines += "\nIt was stopped: what was not reached yet isn't checked.";
  }
  return lines + "\n";
}

// The beginnings of their ids, which say when they began.
static std::string touched(const Json& finding) {
  std::string ids;
  for (const auto& backup : finding.at("backups")) {
    const auto id = backup.get<std::string>();
    ids += (ids.empty() ? "" : " ") + id.substr(0, id.find('-'));
  }
  return ids.empty() ? "-" : ids;
}

static std::string lost(const Json& finding) {
  const auto& wal = finding.at("lost_wal");
  if (wal.is_null()) return "-";
  const auto to = text(wal, "to_lsn");
  return fmt::format("{} to {}, timeline {}", text(wal, "from_lsn"), to.empty() ? "the end" : to,
                     number(wal, "timeline"));
}

static std::string findings_text(const Json& findings) {
  TextTable table;
  for (const char* title : {"FOUND", "OBJECT", "BACKUPS", "NO RESTORE INTO"}) {
    table.add_column(title);
  }
  for (const auto& finding : findings) {
    table.add_row(
        {text(finding, "found"), text(finding, "object"), touched(finding), lost(finding)});
  }
  auto lines = "\n" + table.to_text() + "\n";
  for (const auto& finding : findings) {
    const auto hint = text(finding, "hint");
    lines += text(finding, "problem") + (hint.empty() ? "" : "; " + hint) + "\n";
  }
  return lines;
}

std::string verify_text(const Json& report) {
  const auto& findings = report.at("findings");
  auto lines = summary(report);
  if (!findings.empty()) lines += findings_text(findings);
  const bool has_packs = std::ranges::any_of(findings, [](const Json& finding) {
    return text(finding, "found") != "unchecked" && text(finding, "object").contains("/pack/");
  });
  if (has_packs) {
    lines += "The next backup stores what is in damaged packs again: \"pitr backup\" takes one.\n";
  }
  for (const auto& warning : report.at("warnings")) {
    lines += "WARNING: " + warning.get<std::string>() + "\n";
  }
  return lines;
}

}  // namespace pitr
