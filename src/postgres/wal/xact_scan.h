// Exact answers from WAL itself: every commit, abort and restore point of some segments, and where
// records start. The restore planner uses it on the few segments that facts point to.
#pragma once

#include <functional>
#include <optional>

#include "postgres/wal/decoder.h"

namespace pitr::wal {

struct ScanSink {
  // Each may be empty.
  std::function<Result<void>(const XactEnd&)> xact_end;
  std::function<Result<void>(const RestorePoint&)> restore_point;
  std::function<Result<void>(const Record&)> record;
};
RecordSink make_record_sink(ScanSink sink);

}  // namespace pitr::wal
