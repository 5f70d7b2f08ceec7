// Decodes WAL pushed to it in order, in pieces of any size, and checks that it is continuous:
// page addresses, system identifier, timelines that never decrease, prev-links, CRCs.
// Follows src/backend/access/transam/xlogreader.c (PostgreSQL 13-18).
//
// A record belongs to the segment in which it ends. To start at a segment's border, the decoder
// needs what crosses it: the Carry that another decoder had there. Without one it skips the rest of
// a record that began before (the head stays unresolved), and the first record's prev-link is
// recorded instead of checked.
//
// Memory: one record at most (max_record_bytes); bodies that nobody needs aren't buffered beyond
// that. Not thread-safe. After an error the decoder is of no further use.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "common/bytes.h"
#include "common/result.h"
#include "postgres/lsn.h"
#include "postgres/wal/page.h"
#include "postgres/wal/record.h"

namespace pitr::wal {

// What crosses a position between two segments. Copyable.
struct Carry {
  Lsn position;         // the segment border it belongs to
  Lsn last_record;      // start of the last whole record before it; 0: unknown
  Lsn partial_start;    // start of the record that crosses; 0: none
  Bytes partial_bytes;  // its bytes so far (page headers left out)
  TimelineId timeline;  // of the last page
};

struct DecoderOptions {
  std::uint64_t system_identifier = 0;  // 0: taken from the first long header
  SegmentSize segment_size;
  TimelineId timeline;  // pages may carry this one or an ancestor's
  std::uint64_t max_record_bytes = 1020ull << 20;
};

// Called for every whole, checked record, in LSN order.
using RecordSink = std::function<Result<void>(const Record&)>;

class WalDecoder {
 public:
  // start: a segment's start.
  static Result<WalDecoder> start(const DecoderOptions& options, Lsn start,
                                  std::optional<Carry> carry, RecordSink sink);
  WalDecoder(WalDecoder&&) noexcept;
  WalDecoder& operator=(WalDecoder&&) noexcept;
  ~WalDecoder();

  // kCorrupt, with the LSN and the check that failed; errors of the sink are passed on.
  Result<void> push(ByteView bytes);

  Lsn position() const;                       // behind the last byte pushed
  // At a segment border only (kInternal elsewhere).
  Result<Carry> carry() const;

  bool head_unresolved() const;   // began without carry inside a record
  Lsn first_record() const;       // start of the first whole record; 0: none yet
  Lsn first_record_previous() const;
  Lsn last_record() const;        // start and end of the last whole record; 0: none yet
  Lsn last_record_end() const;
  std::uint16_t page_magic() const;

 private:
  struct Impl;
  explicit WalDecoder(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// Decodes as far as the bytes are valid: for a segment whose tail is zero, torn or left over from
// recycling. Never fails for bad WAL; errors are those of the sink.
struct ValidEnd {
  Lsn last_record;      // 0: none
  Lsn last_record_end;  // 0: none
  bool reached_end = false;  // valid to the last byte
  std::string stopped_by;    // the check that ended it
};
Result<ValidEnd> decode_valid_prefix(const DecoderOptions& options, Lsn start,
                                     std::optional<Carry> carry, ByteView bytes,
                                     const RecordSink& sink);

}  // namespace pitr::wal
