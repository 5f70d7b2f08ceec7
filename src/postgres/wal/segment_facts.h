// What one complete WAL segment says about time, continuity and changed blocks, small enough to
// keep for every segment: the restore planner finds its candidate segments by facts and decodes
// only those; backups and in-place restores read and write only the blocks that facts name.
//
// Values only. Exact times of single transactions aren't here (they'd be 1 % of the WAL); see
// xact_scan.h.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "postgres/wal/changed_blocks.h"
#include "postgres/wal/decoder.h"
#include "postgres/wal/xid_ranges.h"

namespace pitr::wal {

enum class Head : std::uint8_t {
  kClean = 0,       // no record crosses the segment's start
  kResolved = 1,    // one does, and it was put together from the segment before
  kUnresolved = 2,  // one does, and the segment before was not at hand
};

struct SegmentFacts {
  SegmentId segment;
  SegmentSize segment_size;
  std::uint64_t system_identifier = 0;
  std::uint16_t page_magic = 0;

  Head head = Head::kClean;
  // Start of the record that crosses the segment's start; of an unresolved one as the first
  // record's prev-link says. 0: none, or not known.
  Lsn head_record;
  // True where the prev-link of the first record was checked against the segment before, or the
  // first record is the first of all.
  bool linked = false;
  Lsn first_record;           // start of the first record that ends here; 0: none ends here
  Lsn first_record_previous;  // its prev-link
  Lsn last_record;            // start of the last record that ends here
  Lsn last_record_end;
  Lsn partial_record;  // start of the record that crosses the segment's end; 0: none

  std::uint32_t commits = 0;
  std::uint32_t aborts = 0;
  // Of commits and aborts alike (either stops a recovery to a time); meaningless where none.
  // First and last are in LSN order, which is not quite the order of times.
  Lsn first_xact;  // start of the record
  Lsn last_xact;
  Timestamp first_xact_time;
  Timestamp last_xact_time;
  Timestamp min_xact_time;
  Timestamp max_xact_time;
  XidRanges xids;  // of the transactions that end here: never misses one, may hold a few more

  std::vector<RestorePoint> restore_points;  // kMaxRestorePoints at most
  bool restore_points_cut = false;
  std::optional<Checkpoint> last_checkpoint;
  std::vector<Lsn> backup_ends;  // start LSNs of backups that end here; the last kMaxBackupEnds
  bool has_switch = false;
  bool has_overwrite_contrecord = false;
  bool has_end_of_recovery = false;  // a promotion happened here
  bool wal_level_minimal = false;  // a parameter change to minimal: no trustworthy range crosses it

  // Settings that the server started with, the last kMaxParameterChanges.
  std::vector<ParameterChange> parameter_changes;
  // Of the records that end here. nullopt: written by a version that did not keep them, or left out
  // in decoding.
  std::optional<ChangedBlocks> changes;

  bool has_xacts() const { return commits + aborts > 0; }

  static constexpr std::size_t kMaxRestorePoints = 1000;
  static constexpr std::size_t kMaxBackupEnds = 1000;
  static constexpr std::size_t kMaxParameterChanges = 1000;
};

// Decodes a whole segment into facts. `carry_out`, where given, receives what crosses its end.
// kCorrupt where any of the segment's WAL fails a check.
Result<SegmentFacts> build_segment_facts(SegmentId segment, const DecoderOptions& options,
                                         std::optional<Carry> carry, ByteView bytes,
                                         Carry* carry_out = nullptr);

// Collects facts from a decoder that somebody else drives, segment by segment: pass it every record
// that ends in the segment, and push nothing beyond the segment's end before finish().
class FactsCollector {
 public:
  FactsCollector(SegmentId segment, SegmentSize segment_size);
  Result<void> add(const Record& record);
  // Takes continuity from the decoder, which stands at the segment's end.
  SegmentFacts finish(const WalDecoder& decoder);

 private:
  Result<void> add_xact(const Record& record);
  Result<void> add_xlog(const Record& record);
  void add_parameters(const ParameterChange& parameters);

  SegmentFacts facts_;
};

// Versioned, all numbers as varints, LSNs and times as differences; sections that a reader does not
// know are skipped, so that more kinds of facts can follow. decode_facts checks every bound.
Bytes encode_facts(const SegmentFacts& facts);
// Changed blocks are most of the bytes: who doesn't ask for them leaves them out.
enum class WithChanges : bool { kNo, kYes };
Result<SegmentFacts> decode_facts(ByteView bytes, WithChanges with = WithChanges::kYes);

}  // namespace pitr::wal
