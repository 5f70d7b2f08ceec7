// Restores as the audit trail has them, whoever made them: restores run in processes of their own,
// on other hosts too. Not thread-safe; the repository must outlive it.
#pragma once

#include <map>
#include <set>
#include <string>

#include "common/clock.h"
#include "repository/audit/audit_log.h"

namespace pitr {

struct RestoreCounts {
  std::uint64_t succeeded = 0;  // since the watch began
  std::uint64_t failed = 0;
  Timestamp last_success;  // since kLookBack before that; unset: none
  Timestamp last_failure;
};
using RestoresByCluster = std::map<std::string, RestoreCounts>;

class RestoreWatch {
 public:
  static constexpr Microseconds kLookBack = std::chrono::hours(24 * 31);
  // Entries may come late: clocks differ, and so do the times when objects are seen.
  static constexpr Microseconds kOverlap = std::chrono::hours(1);

  RestoreWatch(Repository& repository, Timestamp began) : log_(repository), began_(began) {}

  // Reads what is new in the trail.
  Result<RestoresByCluster> look(Timestamp now);

 private:
  using Identity = std::pair<Timestamp, std::string>;  // an entry's time and its text
  void take(const AuditEntry& entry);

  AuditLog log_;
  const Timestamp began_;
  std::optional<Timestamp> looked_;
  std::set<Identity> recent_;  // counted already; those that a look may see again
  RestoresByCluster counts_;
};

}  // namespace pitr
