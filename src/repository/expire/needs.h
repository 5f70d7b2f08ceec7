// What of an incarnation is needed, from its stored state and the retention plan. Internal to
// expire. Thread-safe once made.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "repository/expire/stored_state.h"
#include "retention/retention.h"

namespace pitr {

class Needs {
 public:
  // `gone`: published backups that were, or are about to be, dropped. The plan must outlive this.
  Needs(const IncarnationStore& store, const StoredState& state, const std::set<BackupId>& gone,
        const RetentionPlan& plan, std::uint32_t incarnation);

  bool pack(const ObjectInfo& object) const;
  bool table(const ObjectInfo& object) const;
  // Of an object below wal/ or facts/. What isn't of one segment or log stays.
  bool wal(const ObjectKey& key) const;
  // Whether an object that stands in trash is needed all the same.
  bool anything(const ObjectInfo& object) const;

 private:
  struct SegmentRange {
    TimelineId timeline;
    std::uint64_t first;
    std::uint64_t last;
  };
  bool segments(TimelineId timeline, std::uint64_t first, std::uint64_t last) const;

  const IncarnationStore store_;
  const RetentionPlan& plan_;
  const std::uint32_t incarnation_;
  std::set<std::string> contents_;             // packs and tables that manifests name
  std::vector<std::string> live_prefixes_;     // of packs and descriptions of living attempts
  std::set<std::string> backup_objects_;       // of published backups
  std::optional<Timestamp> oldest_attempt_;    // tables since then may be its own
  std::optional<std::uint64_t> attempts_wal_;  // segments from here on, of all timelines
  std::vector<SegmentRange> wal_;
};

}  // namespace pitr
