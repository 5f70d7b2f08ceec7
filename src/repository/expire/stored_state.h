// All that is stored of one incarnation, read in an order that makes it safe to delete what nobody
// in it needs: first the objects, then those who need them. Whoever wrote an object that was
// listed had said so before (a backup's intent), and is therefore seen.
//
// A plain value; memory as for the names of all objects. Reading is thread-safe and changes
// nothing.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "repository/backup/backup_reader.h"
#include "repository/backup/backup_writer.h"
#include "repository/expire/lease.h"
#include "repository/expire/pins.h"
#include "repository/expire/trash.h"
#include "repository/repository.h"

namespace pitr {

struct PublishedBackup {
  BackupManifest manifest;
  std::vector<BackupPin> pins;
  bool is_verified = false;
};

// A backup without backup.json: under way, dead, or dropped.
struct BackupAttempt {
  BackupId id;
  std::optional<BackupIntent> intent;
  Timestamp written;  // the intent, by the store's clock
  std::optional<BackupManifest> manifest;
  bool is_alive = false;  // it may be published yet
};

struct StoredState {
  Timestamp now;  // the store's
  std::vector<ObjectInfo> packs;
  std::vector<ObjectInfo> tables;
  std::vector<ObjectInfo> wal;
  std::vector<ObjectInfo> facts;
  std::vector<ObjectInfo> watermarks;
  std::vector<TrashRecord> trash;
  std::vector<StoredLease> leases;  // those that ran out too
  std::map<BackupId, std::vector<ObjectInfo>> backup_objects;
  std::vector<PublishedBackup> published;  // by start
  std::vector<BackupAttempt> attempts;
};

// `grace`: how long after its time a backup that is late may still be published. An object that
// can't be read is an error that names it: what it needs isn't known.
Result<StoredState> read_stored_state(const IncarnationStore& store, Timestamp now,
                                      Microseconds grace);

// Backups that may not be dropped though their policy lets them go, and who needs them: leases,
// attempts that build on them.
std::map<BackupId, std::string> held_backups(const StoredState& state);

}  // namespace pitr
