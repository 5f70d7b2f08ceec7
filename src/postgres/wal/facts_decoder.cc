// The reader of what facts_codec.cc writes.
#include <fmt/format.h>

#include <array>
#include <set>

#include "postgres/wal/facts_format.h"
#include "postgres/wal/segment_facts.h"

namespace pitr::wal {

using namespace facts_format;

namespace {

// Differences wrap: any two values come back as they were.
std::int64_t sum(std::int64_t a, std::int64_t b) {
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(a) + static_cast<std::uint64_t>(b));
}

class FactsReader {
 public:
  FactsReader(ByteView bytes, WithChanges with) : in_(bytes), with_(with) {}

  Result<SegmentFacts> read() {
    TRY(read_identity());
    std::set<std::uint64_t> seen;
    while (!in_.at_end()) {
      const auto id = TRY(in_.varint());
      const auto length = TRY(in_.varint());
      const auto content = TRY(in_.raw(length));
      if (!seen.insert(id).second) {
        return Error::corrupt(fmt::format("section {} stands there twice", id));
      }
      TRY(read_section(id, content));
    }
    if (!seen.contains(kContinuity)) return Error::corrupt("there is nothing about continuity");
    return std::move(facts_);
  }

 private:
  Result<void> read_identity() {
    const auto version = TRY(in_.u8());
    if (version != kVersion) {
      return Error::invalid(
                 fmt::format("segment facts have version {}, known is {}", version, kVersion))
          .with_hint("they were written by a newer pitr: use that one");
    }
    const auto timeline = TRY(u32(in_));
    facts_.segment.timeline = TimelineId(timeline);
    facts_.segment.number = TRY(in_.varint());
    const auto segment_bytes = TRY(in_.varint());
    auto size = SegmentSize::from_bytes(segment_bytes);
    if (!size) return Error::corrupt(fmt::format("segment size is {}", segment_bytes));
    facts_.segment_size = *size;
    if (facts_.segment.number > ~0ull / segment_bytes) {
      return Error::corrupt(fmt::format("segment number is {}", facts_.segment.number));
    }
    base_ = size->start_of(facts_.segment.number);
    facts_.system_identifier = TRY(in_.u64());
    facts_.page_magic = TRY(in_.u16());
    return {};
  }

  Result<void> read_section(std::uint64_t id, ByteView content) {
    ByteReader in(content);
    switch (id) {
      case kContinuity:
        TRY(read_continuity(in));
        break;
      case kXacts:
        TRY(read_xacts(in));
        break;
      case kRestorePoints:
        TRY(read_restore_points(in));
        break;
      case kCheckpoint:
        TRY(read_checkpoint(in));
        break;
      case kBackupEnds:
        TRY(read_backup_ends(in));
        break;
      case kChanges:
        if (with_ == WithChanges::kNo) return {};
        TRY(read_changes(in));
        break;
      case kParameters:
        TRY(read_parameters(in));
        break;
      default:
        return {};  // of a newer version
    }
    if (!in.at_end()) return Error::corrupt(fmt::format("section {} is too long", id));
    return {};
  }

  static Result<std::uint32_t> u32(ByteReader& in) {
    const auto value = TRY(in.varint());
    if (value > ~0u) return Error::corrupt(fmt::format("{} is no 32-bit number", value));
    return static_cast<std::uint32_t>(value);
  }

  static Result<bool> flag(ByteReader& in) {
    const auto value = TRY(in.u8());
    if (value > 1) return Error::corrupt(fmt::format("{} is neither yes nor no", value));
    return value == 1;
  }

  Result<Lsn> lsn(ByteReader& in) const {
    const auto value = TRY(in.varint());
    if (value == 0) return Lsn();
    const std::uint64_t zigzag = value - 1;
    return base_ + ((zigzag >> 1) ^ (0 - (zigzag & 1)));
  }

  static Result<Timestamp> time(ByteReader& in, Timestamp base) {
    const auto delta = TRY(in.signed_varint());
    return Timestamp::from_unix_us(sum(base.unix_us(), delta));
  }

  Result<void> read_continuity(ByteReader& in) {
    const auto head = TRY(in.u8());
    if (head > static_cast<std::uint8_t>(Head::kUnresolved)) {
      return Error::corrupt(fmt::format("head is {}", head));
    }
    facts_.head = static_cast<Head>(head);
    const auto flags = TRY(in.varint());
    if (flags > kAllFlags) return Error::corrupt(fmt::format("flags are {:x}", flags));
    facts_.linked = (flags & kLinked) != 0;
    facts_.has_switch = (flags & kSwitch) != 0;
    facts_.has_overwrite_contrecord = (flags & kOverwriteContrecord) != 0;
    facts_.has_end_of_recovery = (flags & kEndOfRecovery) != 0;
    facts_.wal_level_minimal = (flags & kWalLevelMinimal) != 0;
    for (Lsn* into : {&facts_.head_record, &facts_.first_record, &facts_.first_record_previous,
                      &facts_.last_record, &facts_.last_record_end, &facts_.partial_record}) {
      *into = TRY(lsn(in));
    }
    return {};
  }

  Result<void> read_xacts(ByteReader& in) {
    facts_.commits = TRY(u32(in));
    facts_.aborts = TRY(u32(in));
    facts_.first_xact = TRY(lsn(in));
    facts_.last_xact = TRY(lsn(in));
    facts_.first_xact_time = TRY(time(in, Timestamp()));
    facts_.last_xact_time = TRY(time(in, facts_.first_xact_time));
    facts_.min_xact_time = TRY(time(in, facts_.first_xact_time));
    facts_.max_xact_time = TRY(time(in, facts_.first_xact_time));
    return read_xids(in);
  }

  Result<void> read_xids(ByteReader& in) {
    const auto count = TRY(in.varint());
    if (count > XidRanges::kMaxRanges) {
      return Error::corrupt(fmt::format("{} ranges of transaction ids", count));
    }
    std::vector<XidRange> ranges;
    std::uint64_t behind = 0;
    for (std::uint64_t i = 0; i < count; ++i) {
      const std::uint64_t gap = TRY(u32(in));
      const std::uint64_t width = TRY(u32(in));
      if ((gap == 0 && i > 0) || behind + gap + width > ~0u) {
        return Error::corrupt("ranges of transaction ids overlap");
      }
      ranges.push_back({static_cast<std::uint32_t>(behind + gap),
                        static_cast<std::uint32_t>(behind + gap + width)});
      behind = ranges.back().max;
    }
    facts_.xids = XidRanges(std::move(ranges));
    return {};
  }

  Result<void> read_restore_points(ByteReader& in) {
    facts_.restore_points_cut = TRY(flag(in));
    const auto count = TRY(in.varint());
    if (count > SegmentFacts::kMaxRestorePoints) {
      return Error::corrupt(fmt::format("{} restore points", count));
    }
    Timestamp base;
    for (std::uint64_t i = 0; i < count; ++i) {
      RestorePoint point;
      point.start = TRY(lsn(in));
      point.end = TRY(lsn(in));
      point.time = TRY(time(in, base));
      point.name = TRY(in.string(kMaxNameBytes));
      base = point.time;
      facts_.restore_points.push_back(std::move(point));
    }
    return {};
  }

  Result<void> read_checkpoint(ByteReader& in) {
    Checkpoint checkpoint;
    checkpoint.is_shutdown = TRY(flag(in));
    checkpoint.start = TRY(lsn(in));
    checkpoint.redo = TRY(lsn(in));
    const auto timeline = TRY(u32(in));
    checkpoint.timeline = TimelineId(timeline);
    facts_.last_checkpoint = checkpoint;
    return {};
  }

  Result<void> read_backup_ends(ByteReader& in) {
    const auto count = TRY(in.varint());
    if (count > SegmentFacts::kMaxBackupEnds) {
      return Error::corrupt(fmt::format("{} backups end", count));
    }
    for (std::uint64_t i = 0; i < count; ++i) {
      const auto start = TRY(lsn(in));
      facts_.backup_ends.push_back(start);
    }
    return {};
  }

  Result<void> read_changes(ByteReader& in) {
    const auto limits = ChangedBlocks::Limits::of_wal(facts_.segment_size.bytes());
    facts_.changes = TRY(ChangedBlocks::decode(in, base_, limits));
    return {};
  }

  Result<void> read_parameters(ByteReader& in) {
    const auto count = TRY(in.varint());
    if (count > SegmentFacts::kMaxParameterChanges) {
      return Error::corrupt(fmt::format("{} changes of parameters", count));
    }
    for (std::uint64_t i = 0; i < count; ++i) {
      ParameterChange parameters;
      parameters.start = TRY(lsn(in));
      const auto level = TRY(in.u8());
      if (level > static_cast<std::uint8_t>(WalLevel::kLogical)) {
        return Error::corrupt(fmt::format("wal_level is {}", level));
      }
      parameters.wal_level = static_cast<WalLevel>(level);
      parameters.wal_log_hints = TRY(flag(in));
      facts_.parameter_changes.push_back(parameters);
    }
    return {};
  }

  ByteReader in_;
  const WithChanges with_;
  Lsn base_;
  SegmentFacts facts_;
};

}  // namespace

Result<SegmentFacts> decode_facts(ByteView bytes, WithChanges with) {
  FactsReader reader(bytes, with);
  return with_context(reader.read(), "segment facts");
}

}  // namespace pitr::wal
