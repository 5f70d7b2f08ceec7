// Verifies what a cluster has in the repository, against damage that storage causes: every object,
// and whether what backups and restores need is there.
//
//   quick  the digests over the stored bytes of every object, without decrypting packs, tables and
//          WAL; manifests and tails are opened, since they say what has to be there
//   full   everything is decrypted and read as a restore would: frames, tables, block maps and the
//          blocks' digests, WAL record by record and against its facts, each backup's own WAL
//
// Damage never stops the rest. What could not be read for another reason (storage that is away, a
// key) is no damage, and told apart. What was found is recorded (verify_records.h): backups that
// are good in full, packs that are damaged; nothing else is written.
//
// Memory: the names of all objects, and some MiB per worker. Thread-safe; several runs at once do
// no harm.
#pragma once

#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "common/clock.h"
#include "common/observer.h"
#include "repository/repository.h"

namespace pitr {

enum class VerifyDepth : std::uint8_t { kQuick, kFull };

// Packs and WAL in turn, so that all are verified within a period: each run takes those that were
// verified longest ago. All other objects are small, and checked in every run.
struct VerifyCycle {
  Microseconds period = std::chrono::days(30);
  // Of packs and WAL, at most so many stored bytes, but one pack or log at least. 0: as many as the
  // period asks for, by the time since the last run.
  std::uint64_t budget_bytes = 0;
};

struct VerifyOptions {
  VerifyDepth depth = VerifyDepth::kQuick;
  // Only what this backup needs.
  std::optional<BackupId> backup;
  // Full, and of everything; of each backup the map, and no block by its digest.
  std::optional<VerifyCycle> cycle;
  unsigned workers = 2;
  std::uint64_t max_rate_bytes_per_second = 0;  // of stored bytes read; 0: unlimited
  bool record = true;                           // false: reads only
};

enum class FindingKind : std::uint8_t {
  kDamaged,    // the bytes aren't what was written
  kMissing,    // something needs it and it isn't there
  kUnchecked,  // it could not be read, which says nothing about it
};
std::string_view to_string(FindingKind kind);  // "damaged", "missing", "unchecked"

// Restores to positions behind `from`, up to `to`, aren't possible on this timeline.
struct LostWal {
  TimelineId timeline;
  Lsn from;
  std::optional<Lsn> to;  // none: to the end of what is stored
};

struct VerifyFinding {
  IncarnationId incarnation;
  FindingKind kind = FindingKind::kDamaged;
  std::string object;  // its name
  Error problem;
  std::vector<BackupId> backups;  // that can't be restored, or not all of them
  std::optional<LostWal> lost;
};

enum class BackupVerdict : std::uint8_t {
  // All it needs was checked in this run, as deep as asked for; with a cycle, within the period.
  kGood,
  kDamaged,     // at least one finding
  kNotChecked,  // something could not be read, or the run was stopped
};
std::string_view to_string(BackupVerdict verdict);  // "good", "damaged", "not checked"

struct VerifiedBackup {
  IncarnationId incarnation;
  BackupId id;
  BackupVerdict verdict = BackupVerdict::kNotChecked;
};

struct VerifyReport {
  VerifyDepth depth = VerifyDepth::kQuick;
  std::vector<VerifyFinding> findings;  // in order of names
  std::vector<VerifiedBackup> backups;  // oldest first
  std::uint64_t checked_objects = 0;
  std::uint64_t checked_bytes = 0;  // stored
  std::uint64_t unchecked_objects = 0;
  bool was_stopped = false;
  std::vector<std::string> warnings;

  bool found_damage() const;
};

// kNotFound: nothing is stored of the cluster, or it has no such backup. Other errors: not even the
// names could be listed. A stop ends it early, with what was found so far.
Result<VerifyReport> verify_cluster(Repository& repository, const std::string& cluster,
                                    const VerifyOptions& options, Observer& observer,
                                    const Clock& clock, std::stop_token stop);

}  // namespace pitr
