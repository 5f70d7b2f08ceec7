#include "agent/reports/verify_json.h"

#include <nlohmann/json.hpp>

namespace pitr {

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
