// What restore_command delivers: the plan decides, the archive gives the bytes.
//
// PostgreSQL takes "absent" for the end of WAL, so it is said only of what lies beyond the plan:
// segments behind its end, files of timelines that the plan doesn't use, and the history file of
// the timeline id that is reserved for this restore. Anything inside the plan that cannot be read
// is an error. Timeline ids between the plan's and the reserved one look taken, so that promotion
// chooses exactly the reserved one. Thread-safe.
#pragma once

#include <optional>
#include <string_view>

#include "repository/wal/wal_archive.h"
#include "restore/files/file_owner.h"
#include "restore/recovery/recovery_plan.h"

namespace pitr {

class WalSupply {
 public:
  WalSupply(WalArchive archive, RecoveryPlan plan);

  const RecoveryPlan& plan() const { return plan_; }

  // The bytes to put into place, or nullopt: proven absent. file_name is restore_command's %f.
  // Segments have exactly the segment size; what isn't stored of the last one is zero.
  Result<std::optional<Bytes>> get(std::string_view file_name) const;

  // The planned file of a segment number; nullopt beyond the plan's end.
  Result<std::optional<SegmentId>> planned(std::uint64_t number) const;

 private:
  Result<std::optional<Bytes>> get_segment(SegmentId segment) const;
  Result<std::optional<Bytes>> get_history(TimelineId timeline) const;

  WalArchive archive_;
  RecoveryPlan plan_;
  SegmentSize segment_size_;
};

// Writes bytes to path by way of path.pitr-tmp; no sync: PostgreSQL syncs what it keeps.
Result<void> place_file(const Path& path, ByteView bytes, const std::optional<FileOwner>& owner);

}  // namespace pitr
