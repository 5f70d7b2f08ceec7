#include "agent/checks/findings.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "common/log.h"

namespace pitr {

std::string_view to_string(Severity severity) {
  switch (severity) {
    case Severity::kOk:
      return "ok";
    case Severity::kWarning:
      return "warning";
    case Severity::kProblem:
      return "problem";
  }
  return "unknown";
}

void Findings::forget_trouble_with(std::string_view subject) {
  std::erase_if(findings_, [&](const Finding& finding) {
    return finding.subject == subject && finding.severity != Severity::kOk;
  });
}

std::size_t Findings::count(Severity severity) const {
  return static_cast<std::size_t>(std::ranges::count(findings_, severity, &Finding::severity));
}

static bool has_like(const Findings& findings, const Finding& wanted) {
  return std::ranges::any_of(findings.all(), [&](const Finding& finding) {
    return finding.subject == wanted.subject && finding.severity == wanted.severity;
  });
}

void log_changes(const std::string& cluster, const Findings& before, const Findings& after) {
  for (const auto& finding : after.all()) {
    if (finding.severity == Severity::kOk || has_like(before, finding)) continue;
    log::warning("cluster {}: {} with {}: {}; {}", cluster, to_string(finding.severity),
                 finding.subject, finding.message, finding.fix);
  }
  for (const auto& finding : before.all()) {
    if (finding.severity == Severity::kOk || has_like(after, finding)) continue;
    log::info("cluster {}: no {} with {} any more", cluster, to_string(finding.severity),
              finding.subject);
  }
}

std::string to_text(const Findings& findings) {
  std::string text;
  std::string cluster;
  for (const auto& finding : findings.all()) {
    if (finding.cluster != cluster) {
      cluster = finding.cluster;
      text += fmt::format("{}cluster {}\n", text.empty() ? "" : "\n", cluster);
    }
    text += fmt::format("  {:<7}  {:<16} {}\n", to_string(finding.severity), finding.subject,
                        finding.message);
    if (!finding.fix.empty()) text += fmt::format("  {:<7}  {:<16} -> {}\n", "", "", finding.fix);
  }
  const auto problems = findings.count(Severity::kProblem);
  const auto warnings = findings.count(Severity::kWarning);
  if (problems + warnings == 0) return text + "\nEverything is as it should be.\n";
  return text + fmt::format("\n{} problem{}, {} warning{}.\n", problems, problems == 1 ? "" : "s",
                            warnings, warnings == 1 ? "" : "s");
}

std::string to_json_text(const Findings& findings) {
  auto list = nlohmann::json::array();
  for (const auto& finding : findings.all()) {
    list.push_back({{"severity", to_string(finding.severity)},
                    {"cluster", finding.cluster},
                    {"subject", finding.subject},
                    {"message", finding.message},
                    {"fix", finding.fix}});
  }
  const nlohmann::json json = {{"problems", findings.count(Severity::kProblem)},
                               {"warnings", findings.count(Severity::kWarning)},
                               {"findings", std::move(list)}};
  return json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace pitr
