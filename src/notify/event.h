// Something that happened and that somebody may want to be told of: by a webhook, by e-mail, or by
// asking the agent for its events. A plain value.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "common/clock.h"
#include "common/result.h"

namespace pitr {

enum class EventType : std::uint8_t {
  kAgentStarted,
  kAgentStopped,
  kConfigurationChanged,
  kBackupCreated,
  kBackupFailure,
  kRestoreCompleted,
  kRestoreFailure,
  kVerificationCompleted,
  kVerificationFailed,
  kExpireCompleted,
  kExpireFailure,
  kWalStalled,  // no WAL arrives, or the repository doesn't take it
  kWalResumed,
  kGapDetected,  // WAL that is needed will never come
  kStorageLow,
  kCheckProblem,
  kCheckResolved,
  kTest,  // asked for by somebody who wants to see whether messages arrive
};
// What destinations may be limited to.
inline constexpr std::array kEventTypes{
    EventType::kAgentStarted,         EventType::kAgentStopped,
    EventType::kConfigurationChanged, EventType::kBackupCreated,
    EventType::kBackupFailure,        EventType::kRestoreCompleted,
    EventType::kRestoreFailure,       EventType::kVerificationCompleted,
    EventType::kVerificationFailed,   EventType::kExpireCompleted,
    EventType::kExpireFailure,        EventType::kWalStalled,
    EventType::kWalResumed,           EventType::kGapDetected,
    EventType::kStorageLow,           EventType::kCheckProblem,
    EventType::kCheckResolved};

enum class EventSeverity : std::uint8_t { kInfo, kWarning, kCritical };

struct Event {
  EventType type = EventType::kAgentStarted;
  Timestamp time;
  std::string cluster;  // empty: of the agent or the repository
  std::string message;  // one line, for people; never with a secret
  // What it was about, for programs: "backup", "stored_bytes", "subject", …
  std::map<std::string, std::string> details;
  // Given by the event log: 1, 2, 3, … since the agent started. 0: none yet.
  std::uint64_t number = 0;
};

std::string_view to_string(EventType type);  // "backup_created"
Result<EventType> parse_event_type(std::string_view name);
EventSeverity severity_of(EventType type);
std::string_view to_string(EventSeverity severity);  // "info", "warning", "critical"

// One JSON object, without a newline. Bytes that aren't UTF-8 are replaced.
std::string to_json_text(const Event& event);

}  // namespace pitr
