// One line of the audit trail: who did what to which cluster, why, and how it ended. A plain value;
// docs/repository-format.md, "Audit trail", describes the JSON.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "common/clock.h"
#include "common/result.h"

namespace pitr {

enum class AuditedOperation {
  kInit,  // the repository, or its key file, was made, or a database taken up
  kBackup,
  kRestore,
  kExpire,
  kVerify,
  kPin,
  kUnpin,
  kConfiguration,  // the agent took a configuration into use
  kKeys,           // a key was added or retired, or a data key made
  kToken,          // one for the API was made or removed
};

struct AuditActor {
  std::string user;  // of the operating system; "root (alice through sudo)"
  std::string host;
  std::string program;  // "pitr backup"
};

struct AuditEntry {
  Timestamp time;  // when the operation ended
  AuditedOperation operation = AuditedOperation::kBackup;
  std::string cluster;  // empty where it concerns all of the repository
  AuditActor actor;
  std::string reason;  // as the user gave it
  std::string error;   // why it failed; empty: success
  // What it was about, for people: "backup", "target", "bytes", …
  std::map<std::string, std::string> details;

  bool succeeded() const { return error.empty(); }
};

inline constexpr std::size_t kLongestReason = 1000;  // bytes

std::string_view to_string(AuditedOperation operation);
Result<AuditedOperation> parse_audited_operation(std::string_view name);

// One line, without the newline. Bytes that aren't UTF-8 are replaced.
std::string to_json_line(const AuditEntry& entry);
// kCorrupt where it isn't one; an operation that isn't known is kInvalid, with a hint.
Result<AuditEntry> parse_json_line(std::string_view line);

}  // namespace pitr
