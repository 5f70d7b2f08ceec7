// How much a backup reads and stores, and on which earlier backup it builds: the decision, with its
// reason in plain words. A pure function of what is known of the cluster and of earlier backups;
// backup_basis.h gathers that. Each rule stands for a backup that would otherwise have been wrong.
//
// Changed blocks alone are read only where three things hold: the parent's history is the cluster's
// own (else it holds changes that this cluster never made), pages were not rewritten behind the
// WAL's back (pg_checksums), and the WAL from the parent's start on is known without a hole.
// Comparing by digest needs none of them: what is the same is the same.
//
// Over the connection the server has to send changed blocks alone, too, by its own summaries of WAL
// (17 and newer). These rules hold all the same: the WAL that is stored proves that it is the same
// history, and tells which relations were cut (sendable_files.h).
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>

#include "postgres/timeline_history.h"
#include "repository/backup/backup_manifest.h"

namespace pitr {

enum class ReadRequest : std::uint8_t {
  kAuto,         // as little as is provably right
  kFull,         // read everything; store what differs
  kIndependent,  // read and store everything
};

struct ParentCandidate {
  BackupManifest manifest;
  bool has_digests = false;  // that can be compared with ones made now
};

// The cluster, as the backup starts.
struct ClusterNow {
  IncarnationId incarnation;
  BackupMethod method = BackupMethod::kLocal;
  TimelineHistory history = TimelineHistory::without_ancestors(TimelineId(1));  // its own
  Lsn start_lsn;                            // the start checkpoint's redo
  std::uint32_t data_checksum_version = 0;  // of pg_control
  // Remote only: why the server sends everything; empty where it can send what changed.
  std::string all_is_sent;
};

// Why the WAL cannot tell what changed between a backup and now, whatever of it is stored; empty:
// it can, if all of it from the backup's start on is there.
//
// Not seen: checksums that were turned off and on again in between. That does no harm: the parent's
// pages had right checksums, and without logged hints they lack hint bits at most.
std::string unfit_by_history(const BackupManifest& backup, const ClusterNow& now);

struct BackupChoice {
  BackupReading reading = BackupReading::kEverything;
  std::string reason;
  std::optional<std::size_t> parent;  // index of the candidate that is built on
  // The candidate since whose start the WAL tells what changed: the parent of kChangedBlocks. A
  // backup that reads everything locally holds the WAL's promise about it against what it reads.
  std::optional<std::size_t> promised;
};

// Why the changes from the backup's start until now are not known; empty: they are. Asked at most
// once: the ranges of older backups hold those of newer ones.
using CoverageQuery = std::function<Result<std::string>(const BackupManifest& backup)>;

// candidates: newest first. Fails only where the query does.
Result<BackupChoice> choose_backup(std::span<const ParentCandidate> candidates,
                                   const ClusterNow& now, ReadRequest request,
                                   const CoverageQuery& why_not_covered);

}  // namespace pitr
