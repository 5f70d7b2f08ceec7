#include "repository/audit/audit_entry.h"

#include <fmt/format.h>

#include <array>
#include <nlohmann/json.hpp>
#include <utility>

namespace pitr {

static constexpr std::array<std::pair<AuditedOperation, std::string_view>, 10> kNames{{
    {AuditedOperation::kInit, "init"},
    {AuditedOperation::kBackup, "backup"},
    {AuditedOperation::kRestore, "restore"},
    {AuditedOperation::kExpire, "expire"},
    {AuditedOperation::kVerify, "verify"},
    {AuditedOperation::kPin, "pin"},
    {AuditedOperation::kUnpin, "unpin"},
    {AuditedOperation::kConfiguration, "configuration"},
    {AuditedOperation::kKeys, "keys"},
    {AuditedOperation::kToken, "token"},
}};

std::string_view to_string(AuditedOperation operation) {
  for (const auto& [value, name] : kNames) {
    if (value == operation) return name;
  }
  return "unknown";
}

Result<AuditedOperation> parse_audited_operation(std::string_view name) {
  std::string known;
  for (const auto& [value, known_name] : kNames) {
    if (known_name == name) return value;
    known += (known.empty() ? "" : ", ") + std::string(known_name);
  }
  return Error::invalid(fmt::format("there is no audited operation \"{}\"", name))
      .with_hint("there are " + known);
}

std::string to_json_line(const AuditEntry& entry) {
  nlohmann::ordered_json json{{"time", to_string(entry.time)},
                              {"operation", to_string(entry.operation)},
                              {"outcome", entry.succeeded() ? "success" : "failure"},
                              {"user", entry.actor.user},
                              {"host", entry.actor.host},
                              {"program", entry.actor.program}};
  if (!entry.cluster.empty()) json["cluster"] = entry.cluster;
  if (!entry.reason.empty()) json["reason"] = entry.reason;
  if (!entry.error.empty()) json["error"] = entry.error;
  if (!entry.details.empty()) json["details"] = entry.details;
  json["time_us"] = entry.time.unix_us();
  return json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

static Result<AuditEntry> read_entry(const nlohmann::json& json) {
  AuditEntry entry;
  entry.time = Timestamp::from_unix_us(json.at("time_us").get<std::int64_t>());
  entry.operation = TRY(parse_audited_operation(json.at("operation").get<std::string>()));
  entry.actor = {json.at("user").get<std::string>(), json.at("host").get<std::string>(),
                 json.at("program").get<std::string>()};
  entry.cluster = json.value("cluster", "");
  entry.reason = json.value("reason", "");
  entry.error = json.value("error", "");
  entry.details = json.value("details", std::map<std::string, std::string>());
  if (entry.succeeded() != (json.at("outcome").get<std::string>() == "success")) {
    return Error::corrupt("outcome and error of an audit entry contradict each other");
  }
  return entry;
}

Result<AuditEntry> parse_json_line(std::string_view line) {
  try {
    return read_entry(nlohmann::json::parse(line));
  } catch (const nlohmann::json::exception& problem) {
    return Error::corrupt(fmt::format("an audit entry is malformed: {}", problem.what()));
  }
}

}  // namespace pitr
