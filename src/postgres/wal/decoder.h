// Decodes WAL pushed to it in order, in pieces of any size, and checks that it is continuous:
// page addresses, system identifier, timelines that never decrease, prev-links, CRCs.
// Follows src/backend/access/transam/xlogreader.c (PostgreSQL 13-18).
//
// A record belongs to the segment in which it ends. To start at a segment's border, the decoder
// needs what crosses it: the Carry that another decoder had there. Without one it skips the rest of
// a record that began before (the head stays unresolved), and the first record's prev-link is
// recorded instead of checked.
//
// What no check covers, as in the server: the padding behind records and in page headers (bytes 20
// to 23), the page flag "backup blocks removable", and everything between a switch and its
// segment's end.
//
// Memory: one record's bytes, at most kept_record_bytes; of longer ones the rest is checked and let
// go. Not thread-safe. After an error the decoder answers questions, but takes no more bytes.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "common/bytes.h"
#include "common/result.h"
#include "postgres/lsn.h"
#include "postgres/timeline_history.h"
#include "postgres/wal/page.h"
#include "postgres/wal/record.h"

namespace pitr::wal {

// What crosses a position between two segments. Copyable.
struct Carry {
  Lsn position;     // the segment border it belongs to
  Lsn last_record;  // start of the last whole record before it; 0: unknown
  Lsn last_record_end;
  TimelineId timeline;  // of the last page
  Lsn partial_start;    // start of the record that crosses; 0: none
  Bytes partial_bytes;  // its bytes so far (page headers left out), kept_record_bytes at most
  std::uint32_t partial_length = 0;    // how many they were
  std::uint32_t partial_body_crc = 0;  // of them, without the record's header
  // Bytes still to come of a record that began before anything was seen of it; 0: none.
  std::uint32_t unresolved_length = 0;
};

struct DecoderOptions {
  std::uint64_t system_identifier = 0;  // 0: taken from the first long header
  SegmentSize segment_size;
  TimelineId timeline;  // pages may carry this one or an ancestor's
  // Where given, every page must carry exactly the timeline that this history (of `timeline`) says.
  std::optional<TimelineHistory> history = std::nullopt;
  std::size_t kept_record_bytes = 16u << 20;
};

// Called for every whole, checked record, in LSN order.
using RecordSink = std::function<Result<void>(const Record&)>;

class WalDecoder {
 public:
  // start: a segment's start. sink may be empty.
  static Result<WalDecoder> start(const DecoderOptions& options, Lsn start,
                                  std::optional<Carry> carry, RecordSink sink);
  WalDecoder(WalDecoder&&) noexcept;
  WalDecoder& operator=(WalDecoder&&) noexcept;
  ~WalDecoder();

  // kCorrupt, with the LSN and the check that failed; errors of the sink are passed on.
  Result<void> push(ByteView bytes);
  // The same, for bytes that say where they belong: kInvalid where that isn't position().
  Result<void> push(Lsn at, ByteView bytes);

  Lsn position() const;  // behind the last byte pushed
  // At a segment border only (kInternal elsewhere).
  Result<Carry> carry() const;

  bool head_unresolved() const;  // began without carry inside a record
  Lsn head_end() const;          // where that record ended; 0: it goes on
  Lsn first_record() const;      // start of the first whole record; 0: none yet
  Lsn first_record_previous() const;
  bool first_record_linked() const;  // its prev-link was checked against the record before
  // Start and end of the last whole record, the carry's to begin with; 0: not known yet.
  Lsn last_record() const;
  Lsn last_record_end() const;
  Lsn partial_record() const;  // start of a record whose end wasn't pushed yet; 0: none
  std::uint16_t page_magic() const;
  std::uint64_t system_identifier() const;

  // After a check failed: the page or record that did, and the check.
  Lsn stopped_at() const;
  const std::string& stopped_by() const;

 private:
  struct Impl;
  explicit WalDecoder(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

struct ValidEnd {
  Lsn last_record;           // the carry's where no whole record is in the bytes; 0: none
  Lsn last_record_end;       // 0: none
  Lsn partial_record;        // begun behind it and not refuted; 0: none
  bool reached_end = false;  // valid to the last byte
  Lsn stopped_at;            // the page or record that failed a check
  std::string stopped_by;    // the check
};
// How far a decoder came.
ValidEnd valid_end(const WalDecoder& decoder);
// Decodes as far as the bytes are valid: for a segment whose tail is zero, torn or left over from
// recycling. Never fails for bad WAL; errors are those of the sink.
Result<ValidEnd> decode_valid_prefix(const DecoderOptions& options, Lsn start,
                                     std::optional<Carry> carry, ByteView bytes,
                                     const RecordSink& sink);

}  // namespace pitr::wal
