// Where streaming goes on: a pure decision from what the repository holds and what the server says.
//
// Streaming always begins at a segment's start, and at the newest *stored* segment rather than
// behind it: its bytes arrive again and are compared, so a server that only looks like the one
// before (a diverged clone has the same system identifier, timeline and names) is caught before
// anything is acknowledged to it.
#pragma once

#include <optional>
#include <vector>

#include "common/result.h"
#include "postgres/lsn.h"
#include "postgres/timeline_history.h"

namespace pitr {

// What the repository holds of one timeline.
struct StoredWal {
  TimelineId timeline;
  std::uint64_t newest_segment = 0;  // complete, or tails only
  Lsn durable_end;                   // behind the last durable byte of that segment
};

struct ServerPosition {
  Lsn flushed;              // from IDENTIFY_SYSTEM
  bool is_standby = false;  // a standby may lag behind what the repository got elsewhere
  std::optional<Lsn> slot_restart{};
};

struct StartPosition {
  TimelineId timeline;
  Lsn start;  // a segment's start
  // What is stored of that segment, if anything: behind it nothing is known to be stored.
  bool compares_stored = false;

  friend bool operator==(const StartPosition&, const StartPosition&) = default;
};

// history is that of the server's current timeline.
// kConflict: the server is behind the repository on its own timeline: it lost WAL that is durable
// here, or it's another server. kTransient: a standby that has not received so much yet.
Result<StartPosition> choose_start_position(SegmentSize segment_size,
                                            const TimelineHistory& history,
                                            const ServerPosition& server,
                                            const std::vector<StoredWal>& stored);

}  // namespace pitr
