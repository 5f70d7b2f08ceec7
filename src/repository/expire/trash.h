// What expire is about to delete, for everybody who would want to use it:
// docs/repository-format.md, "Trash". Records are sealed objects, written once and removed when
// they are done with.
//
// A record of backups (a *drop*) is written before expire looks a last time who needs them, and
// counts for kDropLasts: whoever starts to use a backup says so first and looks here then, so that
// one of the two sees the other. A record of objects counts until they are deleted, a grace later.
//
// Success of put means durable. Thread-safe.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "common/clock.h"
#include "repository/repository.h"

namespace pitr {

// Longer than the longest backup and restore, and than any request that may still be under way.
inline constexpr Microseconds kDefaultGrace = std::chrono::hours(72);

struct TrashRecord {
  static constexpr Microseconds kDropLasts = std::chrono::hours(1);

  ObjectKey key;
  Timestamp since;  // by the store's clock; filled in when it is read
  std::vector<BackupId> backups;
  std::vector<std::string> objects;  // names without the incarnation's prefix, ascending
  std::uint64_t stored_bytes = 0;    // of the objects
};

// Under a new name. Gives the record with what the store says of it.
Result<TrashRecord> put_trash(const IncarnationStore& store, const Clock& clock,
                              std::vector<BackupId> backups, std::vector<std::string> objects,
                              std::uint64_t stored_bytes);
// All of them. One that can't be read is an error that names it.
Result<std::vector<TrashRecord>> read_trash(const IncarnationStore& store);

// What the records say by now.
struct Trash {
  std::set<BackupId> backups;
  std::set<std::string> objects;  // whole names
};
Trash trash_at(const IncarnationStore& store, const std::vector<TrashRecord>& records,
               Timestamp now);

// kConflict where the backup is being dropped, or is there no more: for those who have just told
// the others that they need it. `now` is the store's.
Result<void> check_not_dropped(const IncarnationStore& store, const BackupId& backup,
                               const Trash& trash);

}  // namespace pitr
