#include "agent/audit/audit_trail.h"

#include <errno.h>
#include <fmt/format.h>
#include <pwd.h>
#include <syslog.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <mutex>

#include "agent/host.h"
#include "common/log.h"

namespace pitr {

std::string user_name(uid_t user) {
  std::array<char, 4096> buffer{};
  passwd entry{};
  passwd* found = nullptr;
  if (::getpwuid_r(user, &entry, buffer.data(), buffer.size(), &found) == 0 && found != nullptr) {
    return found->pw_name;
  }
  return fmt::format("uid {}", user);
}

AuditActor this_process() {
  auto user = user_name(::geteuid());
  const char* caller = std::getenv("SUDO_USER");
  if (caller != nullptr && *caller != '\0') user += fmt::format(" ({} through sudo)", caller);
  return {user, host_name(), program_invocation_short_name};
}

AuditEntry audit_entry(AuditedOperation operation, std::string cluster, const AskedBy& asked_by) {
  AuditEntry entry;
  entry.operation = operation;
  entry.cluster = std::move(cluster);
  entry.reason = asked_by.reason;
  if (asked_by.actor) entry.actor = *asked_by.actor;
  return entry;
}

static void write_to_journal(const std::string& line) {
  static std::mutex mutex;  // of another thread's closelog() in between, the name would be lost
  const std::lock_guard lock(mutex);
  ::openlog("pitr-audit", LOG_PID, LOG_AUTHPRIV);
  ::syslog(LOG_INFO, "%s", line.c_str());
  ::closelog();
}

void AuditTrail::record(AuditEntry entry) const {
  entry.time = clock_.now();
  if (entry.actor.user.empty()) entry.actor = this_process();
  write_to_journal(to_json_line(entry));
  const auto stored = log_.append(entry);
  if (stored) return;
  log::warning(
      "the audit trail in the repository lacks an entry of {}, which is in the journal: {}",
      to_string(entry.operation), stored.error().message());
}

}  // namespace pitr
