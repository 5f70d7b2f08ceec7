// Deletes what a cluster's retention policy lets go, in steps that can be interrupted anywhere and
// that never take what somebody needs (docs/repository-format.md, "Trash"):
//
//   1. what is there and who needs it is read; anything unreadable ends the run
//   2. the policy decides (retention/retention.h)
//   3. backups that go: a drop is recorded, everybody who may need them is looked at again, and
//      backup.json and manifest are removed
//   4. objects that nobody needs are recorded in trash: packs, tables, WAL, facts, dead attempts
//   5. objects that were recorded a grace ago, and that still nobody needs, are deleted
//
// What an interrupted run left is done by the next one, and counted. Expire runs only when it is
// called; several at once do no harm. Thread-safe.
#pragma once

#include <stop_token>
#include <string>
#include <vector>

#include "common/clock.h"
#include "common/observer.h"
#include "repository/expire/trash.h"
#include "repository/repository.h"
#include "retention/retention.h"

namespace pitr {

struct ExpireOptions {
  RetentionPolicy policy;
  // From the record in trash until the deletion, and for backups that are late.
  Microseconds grace = kDefaultGrace;
  bool dry_run = false;  // reads only
};

struct ObjectCount {
  std::uint64_t objects = 0;
  std::uint64_t bytes = 0;
  void add(std::uint64_t size_bytes) {
    ++objects;
    bytes += size_bytes;
  }
};

struct ExpireBackup {
  IncarnationId incarnation;
  BackupId id;
  Timestamp start_time;
  Timestamp stop_time;
  // What comes back if it goes alone.
  std::uint64_t own_bytes = 0;
  // Why it stays for now although the policy lets it go: a restore reads it, a backup builds on it.
  std::string held;
};

struct ExpireReport {
  RetentionPlan plan;                 // its decisions count in `backups`
  std::vector<ExpireBackup> backups;  // in the order of the plan's input
  std::vector<IncarnationId> incarnations;

  std::size_t dropped_backups = 0;
  ObjectCount unneeded_files;  // packs, tables and descriptions of backups; now in trash
  ObjectCount unneeded_wal;    // with facts
  // Of the two: what no backup that went now has left, but attempts that died, or interrupted runs.
  ObjectCount leaked;
  ObjectCount waiting;  // in trash since earlier runs, and not due
  ObjectCount deleted;  // dry run: would be
  std::vector<std::string> warnings;
};

// kNotFound: nothing is stored of the cluster. kInvalid: a policy that can't be followed, or clocks
// that differ too much. kCancelled: `stop` ended it between two requests.
Result<ExpireReport> expire_cluster(Repository& repository, const std::string& cluster,
                                    const ExpireOptions& options, const Clock& clock,
                                    std::stop_token stop = {});

}  // namespace pitr
