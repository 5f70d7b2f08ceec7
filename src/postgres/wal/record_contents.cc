// What single kinds of records say: src/include/access/xact.h, xlog_internal.h and
// catalog/pg_control.h (PostgreSQL 13-18).
#include <fmt/format.h>

#include <algorithm>

#include "postgres/wal/record.h"

namespace pitr::wal {
namespace {

// The low half of info belongs to the WAL machinery, the high half to the resource manager.
constexpr std::uint8_t kXlogKindMask = 0xF0;
constexpr std::uint8_t kXactKindMask = 0x70;
constexpr std::uint8_t kXactHasInfo = 0x80;

enum XlogKind : std::uint8_t {
  kCheckpointShutdown = 0x00,
  kCheckpointOnline = 0x10,
  kSwitch = 0x40,
  kBackupEnd = 0x50,
  kParameterChange = 0x60,
  kRestorePoint = 0x70,
  kEndOfRecovery = 0x90,
  kFpiForHint = 0xA0,
  kOverwriteContrecord = 0xD0,
};

enum XactInfo : std::uint32_t {
  kHasDatabase = 0x01,
  kHasSubtransactions = 0x02,
  kHasDroppedRelations = 0x04,
  kHasInvalidations = 0x08,
  kHasTwoPhase = 0x10,
  kHasDroppedStats = 0x100,  // 15+
};
constexpr std::size_t kInvalidationBytes = 16;
constexpr std::size_t kRestorePointNameBytes = 64;

bool is_xlog(const RecordHeader& header, std::uint8_t kind) {
  return header.rmgr == kRmXlog && (header.info & kXlogKindMask) == kind;
}

std::optional<XactKind> xact_kind(const RecordHeader& header) {
  if (header.rmgr != kRmXact) return std::nullopt;
  switch (header.info & kXactKindMask) {
    case 0x00:
      return XactKind::kCommit;
    case 0x20:
      return XactKind::kAbort;
    case 0x30:
      return XactKind::kCommitPrepared;
    case 0x40:
      return XactKind::kAbortPrepared;
    default:
      return std::nullopt;
  }
}

Error malformed(const Record& record, std::string_view what, const Error& error) {
  return Error::corrupt(
      fmt::format("WAL record at {}: {} cannot be read ({}), though its CRC is "
                  "right",
                  to_string(record.start), what, error.message()));
}

Result<TimelineId> read_timeline(ByteReader& reader) {
  const auto value = TRY(reader.u32());
  return TimelineId(value);
}
Result<Lsn> read_lsn(ByteReader& reader) {
  const auto value = TRY(reader.u64());
  return Lsn(value);
}
Result<Timestamp> read_time(ByteReader& reader) {
  const auto microseconds = TRY(reader.u64());
  return Timestamp::from_postgres_us(static_cast<std::int64_t>(microseconds));
}

Result<void> skip_array(ByteReader& reader, std::size_t item_bytes) {
  const std::uint64_t count = TRY(reader.u32());
  TRY(reader.raw(count * item_bytes));
  return {};
}

// Reads up to where the dropped relations stand, if there are any; returns what else there is.
Result<std::uint32_t> skip_to_dropped_relations(ByteReader& reader, const Record& record) {
  std::uint32_t info = 0;
  if ((record.header.info & kXactHasInfo) != 0) info = TRY(reader.u32());
  if ((info & kHasDatabase) != 0) TRY(reader.u64());
  if ((info & kHasSubtransactions) != 0) TRY(skip_array(reader, sizeof(std::uint32_t)));
  return info;
}

Result<ByteView> read_dropped_relations(ByteReader& reader, const Record& record) {
  TRY(read_time(reader));
  const auto info = TRY(skip_to_dropped_relations(reader, record));
  if ((info & kHasDroppedRelations) == 0) return ByteView();
  const std::uint64_t count = TRY(reader.u32());
  return TRY(reader.raw(count * kDroppedRelationBytes));
}

// The transaction that a COMMIT PREPARED or ROLLBACK PREPARED ends, behind all the lists.
Result<std::uint32_t> read_two_phase_xid(ByteReader& reader, const Record& record) {
  const auto info = TRY(skip_to_dropped_relations(reader, record));
  if ((info & kHasTwoPhase) == 0) return Error::corrupt("it names no prepared transaction");
  if ((info & kHasDroppedRelations) != 0) TRY(skip_array(reader, kDroppedRelationBytes));
  if ((info & kHasDroppedStats) != 0 && record.major >= 15) {
    // 18 widened the object id to 64 bits.
    TRY(skip_array(reader, record.major >= 18 ? 16 : 12));
  }
  if ((info & kHasInvalidations) != 0) TRY(skip_array(reader, kInvalidationBytes));
  return TRY(reader.u32());
}

Result<XactEnd> read_xact_end(const Record& record, XactKind kind) {
  const auto data = TRY(main_data(record));
  ByteReader reader(data);
  XactEnd xact{.start = record.start, .end = record.end, .xid = 0, .time = {}, .kind = kind};
  xact.time = TRY(read_time(reader));
  if (kind == XactKind::kCommit || kind == XactKind::kAbort) {
    xact.xid = record.header.xid;
    return xact;
  }
  auto xid = read_two_phase_xid(reader, record);
  if (!xid && record.is_cut()) return xact;
  xact.xid = TRY(std::move(xid));
  return xact;
}

template <typename T, typename Read>
Result<std::optional<T>> parse_as(const Record& record, std::string_view what, Read read) {
  auto data = main_data(record);
  if (!data) return malformed(record, what, data.error());
  ByteReader reader(*data);
  Result<T> value = read(reader);
  if (!value) return malformed(record, what, value.error());
  return std::optional<T>(std::move(*value));
}

}  // namespace

Result<std::optional<XactEnd>> parse_xact_end(const Record& record) {
  const auto kind = xact_kind(record.header);
  if (!kind) return std::optional<XactEnd>();
  auto xact = read_xact_end(record, *kind);
  if (!xact) return malformed(record, "the transaction's end", xact.error());
  return std::optional<XactEnd>(*xact);
}

Result<ByteView> parse_dropped_relations(const Record& record) {
  if (!xact_kind(record.header) || (record.header.info & kXactHasInfo) == 0) return ByteView();
  auto data = main_data(record);
  if (!data) return malformed(record, "the transaction's end", data.error());
  ByteReader reader(*data);
  auto dropped = read_dropped_relations(reader, record);
  if (!dropped) return malformed(record, "what the transaction's end drops", dropped.error());
  return dropped;
}

Result<std::optional<RestorePoint>> parse_restore_point(const Record& record) {
  if (!is_xlog(record.header, kRestorePoint)) return std::optional<RestorePoint>();
  const auto read = [&](ByteReader& reader) -> Result<RestorePoint> {
    RestorePoint point{.start = record.start, .end = record.end, .time = {}, .name = {}};
    point.time = TRY(read_time(reader));
    const auto name = TRY(reader.raw(kRestorePointNameBytes));
    point.name = std::string(as_text(name.first(
        static_cast<std::size_t>(std::ranges::find(name, std::uint8_t{0}) - name.begin()))));
    return point;
  };
  return parse_as<RestorePoint>(record, "the restore point", read);
}

Result<std::optional<Checkpoint>> parse_checkpoint(const Record& record) {
  const bool is_shutdown = is_xlog(record.header, kCheckpointShutdown);
  if (!is_shutdown && !is_xlog(record.header, kCheckpointOnline)) {
    return std::optional<Checkpoint>();
  }
  const auto read = [&](ByteReader& reader) -> Result<Checkpoint> {
    Checkpoint checkpoint{.start = record.start, .redo = {}, .timeline = {}, .is_shutdown = {}};
    checkpoint.redo = TRY(read_lsn(reader));
    checkpoint.timeline = TRY(read_timeline(reader));
    checkpoint.is_shutdown = is_shutdown;
    return checkpoint;
  };
  return parse_as<Checkpoint>(record, "the checkpoint", read);
}

Result<std::optional<EndOfRecovery>> parse_end_of_recovery(const Record& record) {
  if (!is_xlog(record.header, kEndOfRecovery)) return std::optional<EndOfRecovery>();
  const auto read = [&](ByteReader& reader) -> Result<EndOfRecovery> {
    EndOfRecovery end{.start = record.start, .time = {}, .timeline = {}, .previous_timeline = {}};
    end.time = TRY(read_time(reader));
    end.timeline = TRY(read_timeline(reader));
    end.previous_timeline = TRY(read_timeline(reader));
    return end;
  };
  return parse_as<EndOfRecovery>(record, "the end of recovery", read);
}

Result<std::optional<Lsn>> parse_backup_end(const Record& record) {
  if (!is_xlog(record.header, kBackupEnd)) return std::optional<Lsn>();
  return parse_as<Lsn>(record, "the backup's end", read_lsn);
}

Result<std::optional<ParameterChange>> parse_parameter_change(const Record& record) {
  if (!is_xlog(record.header, kParameterChange)) return std::optional<ParameterChange>();
  const auto read = [&](ByteReader& reader) -> Result<ParameterChange> {
    TRY(reader.raw(5 * sizeof(std::int32_t)));  // max_connections and the like
    const auto level = TRY(reader.u32());
    const auto log_hints = TRY(reader.u8());
    if (level > static_cast<std::uint32_t>(WalLevel::kLogical)) {
      return Error::corrupt(fmt::format("wal_level is {}", level));
    }
    return ParameterChange{record.start, static_cast<WalLevel>(level), log_hints != 0};
  };
  return parse_as<ParameterChange>(record, "the parameter change", read);
}

Result<std::optional<Lsn>> parse_overwrite_contrecord(const Record& record) {
  if (!is_overwrite_contrecord(record.header)) return std::optional<Lsn>();
  return parse_as<Lsn>(record, "the overwritten record", read_lsn);
}

bool is_xact_end(const RecordHeader& header) {
  return xact_kind(header).has_value();
}
bool is_switch(const RecordHeader& header) {
  return is_xlog(header, kSwitch);
}
bool is_overwrite_contrecord(const RecordHeader& header) {
  return is_xlog(header, kOverwriteContrecord);
}
bool is_hint_only(const RecordHeader& header) {
  return is_xlog(header, kFpiForHint);
}

}  // namespace pitr::wal
