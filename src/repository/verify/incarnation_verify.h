// Verification of one incarnation, in steps; verify.cc puts them in order. One thread at a time,
// which starts workers of its own.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "repository/backup/backup_reader.h"
#include "repository/expire/trash.h"
#include "repository/verify/backup_check.h"
#include "repository/verify/findings.h"
#include "repository/verify/object_check.h"
#include "repository/verify/stored_objects.h"
#include "repository/verify/verify_cycle.h"
#include "repository/wal/wal_coverage.h"

namespace pitr {

class IncarnationVerify {
 public:
  IncarnationVerify(IncarnationStore store, const VerifyOptions& options, ReadMeter& meter);

  // What is there, and what the backups need.
  Result<void> read(Timestamp now);
  bool has_backup(const BackupId& backup) const;
  std::uint64_t bytes_to_read() const;
  void check_objects();
  void check_needs();
  // Full only, once the objects are checked.
  void check_backups();
  void finish(VerifyReport& report);
  // After finish(), unless the run was stopped.
  Result<void> record(Timestamp now);

 private:
  struct Backup {
    BackupId id;
    std::optional<BackupManifest> manifest;  // none: it can't be read
    std::set<std::string> needs;             // names of objects, once check_needs() is through
    BackupVerdict verdict = BackupVerdict::kGood;
  };
  Result<void> read_backups();
  void choose_objects();
  bool is_wanted(const ObjectKey& key) const;
  void check_object(const StoredObject& object);
  void check_contents(const Backup& backup);
  bool note_missing_contents(const Backup& backup);
  void check_wal_of(Backup& backup, const WalArchive& archive, const FactsStore& facts);
  SegmentId end_of(const WalCoverage& coverage, const TimelineHistory& history, Lsn from);
  ObjectKey note_end_of_wal(const WalCoverage& coverage, const TimelineHistory& history, Lsn from);
  const BackupManifest* newest_backup_on(const TimelineHistory& history) const;
  void check_windows(const WalArchive& archive, const FactsStore& facts);
  void check_window(const WalArchive& archive, const FactsStore& facts,
                    const TimelineHistory& history, const BackupManifest& manifest);
  Result<bool> was_taken_by_expire(SegmentId segment);
  void check_histories();
  void check_segments_of_facts();
  void check_segments_of_rollups(const FactsStore& facts);
  void note_lost_segment(SegmentId segment);
  // True where nothing stands under the name, and nothing is known to the contrary.
  bool is_gone(const ObjectKey& key);
  bool is_listed(const ObjectKey& key) const;
  void judge();
  // The steps of the cycle: cycle_check.cc.
  Result<void> choose_units(Timestamp now);
  std::map<std::string, CycleUnit> stored_units(Timestamp began) const;
  std::set<std::string> units_of_this_run(const std::map<std::string, CycleUnit>& units,
                                          Microseconds elapsed, Timestamp now) const;
  Timestamp newest_of(const std::vector<ObjectKey>& keys) const;
  void note_verified_units(std::size_t from, std::size_t to);
  Result<void> store_state();
  std::string unit_of(const ObjectKey& key) const;  // empty: of none
  bool was_verified_in_time(const ObjectKey& key) const;
  Result<void> record_packs(Timestamp now);
  std::optional<LostWal> lost_by(const ObjectKey& key) const;

  const IncarnationStore store_;
  const VerifyOptions& options_;
  ReadMeter& meter_;
  const ObjectCheck objects_check_;
  Findings findings_;
  StoredObjects stored_;
  std::optional<Trash> trash_;
  std::vector<Backup> backups_;
  std::vector<const StoredObject*> objects_;  // to be checked by themselves
  std::vector<std::vector<SegmentId>> runs_;  // full: segments, which are decoded
  CycleState state_;
  Timestamp now_;
};

}  // namespace pitr
