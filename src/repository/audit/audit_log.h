// The audit trail in a repository: one sealed object for each entry, never changed and never
// expired. docs/repository-format.md, "Audit trail".
//
// Thread-safe; the repository must outlive it.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "repository/audit/audit_entry.h"
#include "repository/repository.h"

namespace pitr {

// What is asked for; what is left out is not looked at.
struct AuditFilter {
  std::optional<Timestamp> from;
  std::optional<Timestamp> until;  // exclusive
  std::string cluster;
  std::string user;
  std::optional<AuditedOperation> operation;
  bool failures_only = false;

  bool matches(const AuditEntry& entry) const;
};

class AuditLog {
 public:
  explicit AuditLog(Repository& repository) : repository_(repository) {}

  // Durable on return.
  Result<void> append(const AuditEntry& entry) const;

  // Calls `take` for each entry that matches, oldest first. Lists only the months asked for, and
  // reads nothing from before `from`. An entry that can't be read ends it with an error that names
  // the object: a trail with a hole is never shown as whole.
  Result<void> read(const AuditFilter& filter,
                    const std::function<void(const AuditEntry&)>& take) const;

 private:
  ContainerIdentity identity(const ObjectKey& key) const;
  Result<AuditEntry> read_one(const ObjectKey& key) const;
  Repository& repository_;
};

}  // namespace pitr
