// What a backup knows of earlier ones when it starts: gathers it from the repository and from the
// cluster's own timeline history, and has backup_choice.h decide.
#pragma once

#include <stop_token>

#include "basebackup/backup_choice.h"
#include "common/clock.h"
#include "common/observer.h"
#include "repository/wal/changes_between.h"
#include "repository/wal/facts_store.h"
#include "repository/wal/wal_archive.h"

namespace pitr {

struct BackupBasis {
  BackupReading reading = BackupReading::kEverything;
  std::string reason;
  std::optional<BackupManifest> parent;  // that is built on
  // Since whose start `changed` tells of; the parent itself, or what is compared with.
  std::optional<BackupManifest> promised;
  // Of the relations' main forks. Names the promised backup's damaged pages as well: they are read
  // again.
  wal::ChangedBlocks changed;
  // Of the parent, that verification found damaged: their blocks are read and stored afresh. In
  // `changed`, too, where only changed blocks are read.
  std::vector<ObjectKey> leave_packs;
  // Hint bits were logged all the time, by the same server: then every difference has its WAL.
  bool all_is_logged = false;
};

// Whether what is read is to be held against the WAL's promise about an older backup.
inline bool checks_promise(const BackupBasis& basis) {
  return basis.promised && basis.all_is_logged && basis.reading != BackupReading::kChangedBlocks;
}

struct BasisRequest {
  ReadRequest read = ReadRequest::kAuto;
  ClusterNow now;
  bool from_standby = false;
  bool wal_log_hints = false;  // of pg_control
  // What changed is looked up until here, the start of a record; none: until now.start_lsn.
  std::optional<Lsn> changes_until;
  // How long to wait for WAL before the start that is still on its way into the repository.
  Milliseconds wal_timeout{60'000};
};

// A damaged manifest is told and passed over.
Result<BackupBasis> find_basis(const WalArchive& archive, const FactsStore& facts,
                               const BasisRequest& request, const Clock& clock, Observer& observer,
                               std::stop_token stop);

// What changed from one redo to another, both on `history`. Waits for WAL that is on its way; what
// isn't there in time is told as not covered.
Result<ChangesInRange> wait_for_changes(const WalArchive& archive, const FactsStore& facts,
                                        const TimelineHistory& history, Lsn from, Lsn to,
                                        Milliseconds timeout, const Clock& clock,
                                        std::stop_token stop);

// The history of the cluster's timeline by its own file in pg_wal, else by the repository's.
Result<TimelineHistory> cluster_history(const std::optional<Path>& data_directory,
                                        const WalArchive& archive, TimelineId timeline);

}  // namespace pitr
