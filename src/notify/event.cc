#include "notify/event.h"

#include <nlohmann/json.hpp>

namespace pitr {

std::string_view to_string(EventType type) {
  switch (type) {
    case EventType::kAgentStarted:
      return "agent_started";
    case EventType::kAgentStopped:
      return "agent_stopped";
    case EventType::kConfigurationChanged:
      return "configuration_changed";
    case EventType::kBackupCreated:
      return "backup_created";
    case EventType::kBackupFailure:
      return "backup_failure";
    case EventType::kRestoreCompleted:
      return "restore_completed";
    case EventType::kRestoreFailure:
      return "restore_failure";
    case EventType::kVerificationCompleted:
      return "verification_completed";
    case EventType::kVerificationFailed:
      return "verification_failed";
    case EventType::kExpireCompleted:
      return "expire_completed";
    case EventType::kExpireFailure:
      return "expire_failure";
    case EventType::kWalStalled:
      return "wal_stalled";
    case EventType::kWalResumed:
      return "wal_resumed";
    case EventType::kGapDetected:
      return "gap_detected";
    case EventType::kStorageLow:
      return "storage_low";
    case EventType::kCheckProblem:
      return "check_problem";
    case EventType::kCheckResolved:
      return "check_resolved";
    case EventType::kTest:
      return "test";
  }
  return "unknown";
}

Result<EventType> parse_event_type(std::string_view name) {
  std::string known;
  for (const auto type : kEventTypes) {
    if (to_string(type) == name) return type;
    known += (known.empty() ? "" : ", ") + std::string(to_string(type));
  }
  return Error::invalid("there is no event " + std::string(name)).with_hint("they are " + known);
}

EventSeverity severity_of(EventType type) {
  switch (type) {
    case EventType::kBackupFailure:
    case EventType::kRestoreFailure:
    case EventType::kVerificationFailed:
    case EventType::kGapDetected:
      return EventSeverity::kCritical;
    case EventType::kExpireFailure:
    case EventType::kWalStalled:
    case EventType::kStorageLow:
    case EventType::kCheckProblem:
      return EventSeverity::kWarning;
    default:
      return EventSeverity::kInfo;
  }
}

std::string_view to_string(EventSeverity severity) {
  switch (severity) {
    case EventSeverity::kInfo:
      return "info";
    case EventSeverity::kWarning:
      return "warning";
    case EventSeverity::kCritical:
      return "critical";
  }
  return "unknown";
}

std::string to_json_text(const Event& event) {
  nlohmann::json json{{"event", to_string(event.type)},
                      {"severity", to_string(severity_of(event.type))},
                      {"time", to_string(event.time)},
                      {"message", event.message},
                      {"details", event.details}};
  if (!event.cluster.empty()) json["cluster"] = event.cluster;
  if (event.number > 0) json["number"] = event.number;
  return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace pitr
