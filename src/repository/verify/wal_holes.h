// Tells holes in the stored WAL that expire left from those where something was lost.
//
// Expire takes whole stretches: what stays begins where a backup, an attempt of one, or a lease
// starts, and ends where a backup or a lease stops, where another timeline went its own way, or
// not at all. A hole whose edges are such is its work; any other is a loss. (A loss of exactly
// such a stretch can't be told from its work.)
//
// Thread-safe; reads only. Memory: a number per stored segment.
#pragma once

#include <vector>

#include "common/clock.h"
#include "repository/repository.h"

namespace pitr {

// Of segments that were stored once: those that aren't there, and that expire didn't take. Looks at
// the repository twice, since expire may be at work. Empty as well where a backup is being dropped
// right now, or can't be read at all: what is left of its WAL isn't known then.
Result<std::vector<SegmentId>> lost_segments(const IncarnationStore& store,
                                             std::vector<SegmentId> once_stored, Timestamp now);

}  // namespace pitr
