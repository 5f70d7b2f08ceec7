// What one complete WAL segment says about time and continuity, small enough to keep for every
// segment: the restore planner finds its candidate segments by facts and decodes only those.
//
// Values only. Exact times of single transactions aren't here (they'd be 1 % of the WAL); see
// xact_scan.h.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "postgres/wal/decoder.h"

namespace pitr::wal {

enum class Head : std::uint8_t {
  kClean = 0,       // no record crosses the segment's start
  kResolved = 1,    // one does, and it was put together from the segment before
  kUnresolved = 2,  // one does, and the segment before was not at hand
};

struct XidRange {  // of top-level xids as u32; min > max where they wrapped around
  std::uint32_t min = 0;
  std::uint32_t max = 0;
};

struct SegmentFacts {
  SegmentId segment;
  SegmentSize segment_size;
  std::uint64_t system_identifier = 0;
  std::uint16_t page_magic = 0;

  Head head = Head::kClean;
  // True where the prev-link of the first record was checked against the segment before.
  bool linked = false;
  Lsn first_record;           // start of the first record that ends here; 0: none ends here
  Lsn first_record_previous;  // its prev-link
  Lsn last_record;            // start of the last record that ends here
  Lsn last_record_end;
  Lsn partial_record;         // start of the record that crosses the segment's end; 0: none

  std::uint32_t commits = 0;
  std::uint32_t aborts = 0;
  // Of commits and aborts alike (either stops a recovery to a time); meaningless where none.
  Timestamp first_xact_time;
  Timestamp last_xact_time;
  Timestamp min_xact_time;
  Timestamp max_xact_time;
  std::optional<XidRange> xids;

  std::vector<RestorePoint> restore_points;  // kMaxRestorePoints at most
  bool restore_points_cut = false;
  std::optional<Checkpoint> last_checkpoint;
  std::vector<Lsn> backup_ends;  // start LSNs of backups that end here
  bool has_switch = false;
  bool has_overwrite_contrecord = false;
  bool wal_level_minimal = false;  // a parameter change to minimal: no trustworthy range crosses it

  static constexpr std::size_t kMaxRestorePoints = 1000;
};

// Decodes a whole segment into facts. `carry_out`, where given, receives what crosses its end.
// kCorrupt where any of the segment's WAL fails a check.
Result<SegmentFacts> build_segment_facts(SegmentId segment, const DecoderOptions& options,
                                         std::optional<Carry> carry, ByteView bytes,
                                         Carry* carry_out = nullptr);

// Collects facts from a decoder that somebody else drives: pass it every record.
class FactsCollector {
 public:
  explicit FactsCollector(SegmentId segment, SegmentSize segment_size);
  Result<void> add(const Record& record);
  // Takes continuity from the decoder, which stands at the segment's end.
  SegmentFacts finish(const WalDecoder& decoder, bool had_carry);

 private:
  SegmentFacts facts_;
};

Bytes encode_facts(const SegmentFacts& facts);
Result<SegmentFacts> decode_facts(ByteView bytes);

}  // namespace pitr::wal
