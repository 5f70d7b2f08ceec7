// The byte form of SegmentFacts, the plain content of a facts object: docs/repository-format.md,
// "Facts".
#include "postgres/wal/facts_format.h"
#include "postgres/wal/segment_facts.h"

namespace pitr::wal {

using namespace facts_format;

namespace {

// Differences wrap: any two values come back as they were.
std::int64_t difference(std::int64_t a, std::int64_t b) {
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(a) - static_cast<std::uint64_t>(b));
}

class FactsWriter {
 public:
  explicit FactsWriter(const SegmentFacts& facts)
      : facts_(facts), base_(facts.segment_size.start_of(facts.segment.number)) {}

  Bytes write() {
    out_.u8(kVersion);
    out_.varint(facts_.segment.timeline.value());
    out_.varint(facts_.segment.number);
    out_.varint(facts_.segment_size.bytes());
    out_.u64(facts_.system_identifier);
    out_.u16(facts_.page_magic);
    section(kContinuity, continuity());
    if (facts_.has_xacts()) section(kXacts, xacts());
    if (!facts_.restore_points.empty()) section(kRestorePoints, restore_points());
    if (facts_.last_checkpoint) section(kCheckpoint, checkpoint());
    if (!facts_.backup_ends.empty()) section(kBackupEnds, backup_ends());
    if (facts_.changes) section(kChanges, changes());
    if (!facts_.parameter_changes.empty()) section(kParameters, parameters());
    return out_.take();
  }

 private:
  void section(Section id, ByteWriter content) {
    out_.varint(id);
    out_.varint(content.size());
    out_.raw(content.bytes());
  }

  void lsn(ByteWriter& out, Lsn lsn) const {
    if (lsn.is_none()) return out.varint(0);
    const auto delta = static_cast<std::int64_t>(lsn - base_);
    const auto zigzag =
        (static_cast<std::uint64_t>(delta) << 1) ^ static_cast<std::uint64_t>(delta >> 63);
    out.varint(zigzag + 1);
  }

  void time(ByteWriter& out, Timestamp time, Timestamp base) const {
    out.signed_varint(difference(time.unix_us(), base.unix_us()));
  }

  ByteWriter continuity() const {
    ByteWriter out;
    out.u8(static_cast<std::uint8_t>(facts_.head));
    std::uint64_t flags = 0;
    if (facts_.linked) flags |= kLinked;
    if (facts_.has_switch) flags |= kSwitch;
    if (facts_.has_overwrite_contrecord) flags |= kOverwriteContrecord;
    if (facts_.has_end_of_recovery) flags |= kEndOfRecovery;
    if (facts_.wal_level_minimal) flags |= kWalLevelMinimal;
    out.varint(flags);
    for (const Lsn value : {facts_.head_record, facts_.first_record, facts_.first_record_previous,
                            facts_.last_record, facts_.last_record_end, facts_.partial_record}) {
      lsn(out, value);
    }
    return out;
  }

  ByteWriter xacts() const {
    ByteWriter out;
    out.varint(facts_.commits);
    out.varint(facts_.aborts);
    lsn(out, facts_.first_xact);
    lsn(out, facts_.last_xact);
    out.signed_varint(facts_.first_xact_time.unix_us());
    time(out, facts_.last_xact_time, facts_.first_xact_time);
    time(out, facts_.min_xact_time, facts_.first_xact_time);
    time(out, facts_.max_xact_time, facts_.first_xact_time);
    out.varint(facts_.xids.ranges().size());
    std::uint32_t behind = 0;
    for (const auto& range : facts_.xids.ranges()) {
      out.varint(range.min - behind);
      out.varint(range.max - range.min);
      behind = range.max;
    }
    return out;
  }

  ByteWriter restore_points() const {
    ByteWriter out;
    out.u8(facts_.restore_points_cut ? 1 : 0);
    out.varint(facts_.restore_points.size());
    Timestamp base;
    for (const auto& point : facts_.restore_points) {
      lsn(out, point.start);
      lsn(out, point.end);
      time(out, point.time, base);
      out.string(point.name);
      base = point.time;
    }
    return out;
  }

  ByteWriter checkpoint() const {
    ByteWriter out;
    out.u8(facts_.last_checkpoint->is_shutdown ? 1 : 0);
    lsn(out, facts_.last_checkpoint->start);
    lsn(out, facts_.last_checkpoint->redo);
    out.varint(facts_.last_checkpoint->timeline.value());
    return out;
  }

  ByteWriter backup_ends() const {
    ByteWriter out;
    out.varint(facts_.backup_ends.size());
    for (const Lsn start : facts_.backup_ends) lsn(out, start);
    return out;
  }

  ByteWriter changes() const {
    ByteWriter out;
    facts_.changes->encode(out, base_);
    return out;
  }

  ByteWriter parameters() const {
    ByteWriter out;
    out.varint(facts_.parameter_changes.size());
    for (const auto& parameters : facts_.parameter_changes) {
      lsn(out, parameters.start);
      out.u8(static_cast<std::uint8_t>(parameters.wal_level));
      out.u8(parameters.wal_log_hints ? 1 : 0);
    }
    return out;
  }

  const SegmentFacts& facts_;
  const Lsn base_;
  ByteWriter out_;
};

}  // namespace

Bytes encode_facts(const SegmentFacts& facts) {
  return FactsWriter(facts).write();
}

}  // namespace pitr::wal
