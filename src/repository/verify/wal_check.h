// Checks complete segments: their bytes, that the WAL in them is continuous, and that their facts
// say the same. Thread-safe; memory: a segment and its decoded facts per call.
#pragma once

#include <span>

#include "repository/verify/findings.h"
#include "repository/verify/object_check.h"
#include "repository/wal/facts_store.h"
#include "repository/wal/wal_archive.h"

namespace pitr {

class WalCheck {
 public:
  WalCheck(IncarnationStore store, const ObjectCheck& objects, ReadMeter& meter, Findings& findings)
      : store_(store),
        archive_(store),
        facts_(store),
        objects_(objects),
        meter_(meter),
        findings_(findings) {}

  // Segments of one timeline, one following the other.
  void check(std::span<const SegmentId> run) const;

 private:
  Result<wal::SegmentFacts> derive(SegmentId segment, std::optional<wal::Carry>& carry) const;
  void compare_facts(const wal::SegmentFacts& derived,
                     std::span<const wal::SegmentFacts> stored) const;

  const IncarnationStore store_;
  const WalArchive archive_;
  const FactsStore facts_;
  const ObjectCheck& objects_;
  ReadMeter& meter_;
  Findings& findings_;
};

// Complete segments in runs of adjacent ones, none longer than a worker should take at once,
// and each in one log.
std::vector<std::vector<SegmentId>> runs_of_segments(const std::vector<SegmentId>& segments,
                                                     SegmentSize size);

}  // namespace pitr
