// What happens to a complete WAL segment, whichever way it came: checked, stored (or compared with
// what is stored), and its facts derived. archive_command may deliver segments in any order and
// again; whatever the order, the facts come out the same: a segment whose first record began in a
// segment that wasn't there yet is looked at again when that one arrives, on a younger timeline
// too.
//
// Success means that the segment is durable. Facts follow it: where they can't be written the call
// fails although the segment is stored, and is repeated by the caller. Thread-safe.
#pragma once

#include <mutex>
#include <optional>
#include <set>

#include "postgres/wal/segment_facts.h"
#include "repository/wal/facts_store.h"
#include "repository/wal/lineage.h"
#include "repository/wal/wal_archive.h"
#include "walreceiver/segment_counts.h"

namespace pitr {

class SegmentIngest {
 public:
  // counts: where put() and put_streamed() are counted; may be null, else it must outlive this.
  SegmentIngest(WalArchive& archive, FactsStore& facts, SegmentCounts* counts = nullptr)
      : archive_(archive), facts_(facts), counts_(counts) {}

  WalArchive& archive() { return archive_; }
  FactsStore& facts() { return facts_; }

  // For segments that archive_command hands over. Refuses what isn't this cluster's WAL (kInvalid):
  // other system identifier, segment size or position. kConflict: other bytes are stored under the
  // name, complete or streamed. kCorrupt: its records don't check out, or don't continue the
  // segment before. What is refused is not stored as the segment.
  //
  // A standby with archive_mode = always that follows a switch of timelines hands over the segment
  // in which it left the old one, zeros or older pages behind the switch (WalReceiverMain() in
  // walreceiver.c). It is kept as the .partial that a promoted server makes of it. The history that
  // tells of the switch must be stored; the archiver hands histories over first.
  Result<PutOutcome> put(SegmentId segment, ByteView bytes);
  // The same for what is durable as tails already, which it isn't compared with. carry: what
  // crosses the segment's start, where the caller knows it.
  Result<PutOutcome> put_streamed(SegmentId segment, ByteView bytes,
                                  std::optional<wal::Carry> carry = std::nullopt);

  // What crosses the start of a segment, from the stored segments before it (as many as a record
  // spans), on its own timeline or an ancestor's. nullopt where one of them isn't stored whole.
  Result<std::optional<wal::Carry>> carry_into(SegmentId segment);

  // Completes what a crash interrupted among the newest segments: those that are there as tails
  // only are stored, facts derived that are missing, and tails removed that are stored as segments.
  // Returns of how many segments something was left to do.
  Result<std::uint32_t> seal_complete_tails(TimelineId timeline);

  // With the timeline's history, where that is stored.
  Result<wal::DecoderOptions> decoder_options(TimelineId timeline) const {
    return pitr::decoder_options(archive_, timeline);
  }

 private:
  Result<PutOutcome> compare_and_store(SegmentId segment, ByteView bytes);
  Result<PutOutcome> store(SegmentId segment, ByteView bytes, std::optional<wal::Carry> carry);
  Result<void> check_identity(SegmentId segment, ByteView bytes) const;
  struct NewFacts {
    wal::SegmentFacts facts;
    wal::Carry carry_out;
  };
  Result<void> compare_with_streamed(SegmentId segment, ByteView bytes);
  Result<bool> is_left_within(SegmentId segment, ByteView bytes);
  // nullopt: all that can be known of the segment is stored already.
  Result<std::optional<NewFacts>> derive_facts(SegmentId segment, ByteView bytes,
                                               std::optional<wal::Carry> carry);
  Result<bool> seal_tails(SegmentId segment);
  Result<bool> finish_sealing(SegmentId segment);
  Result<void> resolve_following(SegmentId segment, wal::Carry carry);
  Result<void> resolve_children(SegmentId segment, const wal::Carry& carry);
  Result<std::vector<TimelineHistory>> younger_histories(TimelineId timeline);
  void roll_up_before(SegmentId segment);

  void remember(SegmentId next, const wal::Carry& carry);
  std::optional<wal::Carry> recall(SegmentId segment) const;

  WalArchive& archive_;
  FactsStore& facts_;
  SegmentCounts* const counts_;
  mutable std::mutex mutex_;
  // The carry out of the segment that came last: segments mostly come in order.
  std::optional<std::pair<SegmentId, wal::Carry>> last_carry_;
  // With segments here, as far as this process has seen; listed once.
  std::optional<std::set<TimelineId>> timelines_;
};

}  // namespace pitr
