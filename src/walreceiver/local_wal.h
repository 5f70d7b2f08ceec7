// The WAL in a stopped cluster's own pg_wal: where its valid part ends, and how what the repository
// doesn't hold yet gets there. For directories on which no server runs.
//
// Every record from the last checkpoint's redo on is checked as the server's recovery would
// (decoder.h); behind the last one that holds, recycled segments and zeros follow. Success of the
// archiving means durable. One thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "common/file.h"
#include "postgres/timeline_history.h"
#include "postgres/wal/record.h"
#include "walreceiver/segment_ingest.h"

namespace pitr {

struct LocalWalEnd {
  TimelineHistory history;  // of the cluster's timeline
  Lsn end;                  // behind the last record
  Lsn last_record;
  // Bytes to keep: `end`, or the segment's end where the last record is a switch.
  Lsn bytes_end;
  // The newest checkpoint behind whose redo there is another record: where recovery to `end` can
  // begin. Absent where there is none from the last checkpoint on.
  std::optional<wal::Checkpoint> recovery_start;
};

// kCorrupt where the record at redo isn't there: such a cluster cannot recover either.
Result<LocalWalEnd> find_local_wal_end(const WalArchive& archive, const Path& wal_directory,
                                       TimelineId timeline, Lsn redo);

struct ArchivedWal {
  std::uint64_t segments = 0;  // stored here and now, as whole ones
  std::uint64_t tail_bytes = 0;
  // The repository holds WAL behind the end of the cluster's own: the cluster lost some.
  bool is_behind = false;
};
// kConflict where stored bytes differ from these.
Result<ArchivedWal> archive_local_wal(SegmentIngest& ingest, const Path& wal_directory,
                                      const LocalWalEnd& end);

}  // namespace pitr
