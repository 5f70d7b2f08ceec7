// Exact answers from WAL itself: every commit, abort and restore point of some segments, and where
// records start. The restore planner uses it on the few segments that facts point to.
#pragma once

#include <cstdint>
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

// Delivers a segment by number, of whichever timeline holds that part of the history; kNotFound
// where there is none. May be shorter than a segment for the newest one.
using SegmentReader = std::function<Result<Bytes>(std::uint64_t number)>;

// What crosses into the segment, from as many segments before it as are needed (a record may span
// several). nullopt where one of those is not found.
Result<std::optional<Carry>> carry_into(const DecoderOptions& options, std::uint64_t number,
                                        const SegmentReader& reader);

struct ScanResult {
  bool head_unresolved = false;  // what ends first in the range was not seen: see WalDecoder
  ValidEnd end;                  // of the last segment
};
// Scans segments first to last. The records are those that end in them; what began before is put
// together from carry_into(). A check that fails in the last segment ends the scan and is told in
// `end`: the caller knows how far the WAL has to be valid. In an earlier one it is kCorrupt.
Result<ScanResult> scan_segments(const DecoderOptions& options, std::uint64_t first,
                                 std::uint64_t last, const SegmentReader& reader, ScanSink sink);

}  // namespace pitr::wal
