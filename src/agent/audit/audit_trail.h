// Writes the audit trail: into the repository, and the same line into the system's journal, where
// its identifier is "pitr-audit". An operation never fails for that: what the repository doesn't
// take is logged as a warning, and the journal has it.
//
// Thread-safe. Repository and clock must outlive it.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <utility>

#include "repository/audit/audit_log.h"

namespace pitr {

// The name of a user; "uid 1234" where there is none.
std::string user_name(uid_t user);
// Who runs this process; through sudo as "root (alice through sudo)".
AuditActor this_process();

// Who asked for something, and why.
struct AskedBy {
  std::string reason;
  std::optional<AuditActor> actor;  // absent: this process
};
// An entry that begins so.
AuditEntry audit_entry(AuditedOperation operation, std::string cluster, const AskedBy& asked_by);

class AuditTrail {
 public:
  AuditTrail(Repository& repository, const Clock& clock) : log_(repository), clock_(clock) {}

  // Fills in the time, and this process where no user is named.
  void record(AuditEntry entry) const;

  // Calls work(details) and records how it ended. `work` may add to the details.
  template <typename Work>
  auto run(AuditEntry entry, Work work) const -> decltype(work(entry.details)) {
    auto result = work(entry.details);
    if (!result.has_value()) entry.error = result.error().message();
    record(std::move(entry));
    return result;
  }

 private:
  AuditLog log_;
  const Clock& clock_;
};

}  // namespace pitr
