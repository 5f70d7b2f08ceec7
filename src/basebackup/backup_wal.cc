#include "basebackup/backup_wal.h"

#include <fmt/format.h>

#include <algorithm>

namespace pitr {

// More than a checkpoint's record takes, which may end in the next segment.
static constexpr std::uint64_t kCheckpointReachBytes = 512;

// Shows the sink what ends in the segments from start's to that of the byte before stop. Gives the
// end of the last record that can be read there: before stop also where a segment was switched.
static Result<Lsn> scan(const WalArchive& archive, const TimelineHistory& history, Lsn start,
                        Lsn stop, wal::ScanSink sink) {
  const auto size = archive.segment_size();
  wal::DecoderOptions options;
  options.system_identifier = archive.store().id().system_identifier;
  options.segment_size = size;
  options.timeline = history.timeline();
  const auto reader = [&](std::uint64_t number) -> Result<Bytes> {
    const SegmentId segment{history.timeline_at(size.start_of(number + 1) - 1), number};
    auto available = TRY(archive.read_available(segment));
    if (!available.bytes.empty()) return std::move(available.bytes);
    return Error::not_found("no WAL of segment " + segment_file_name(segment, size));
  };
  const auto first = size.number_of(start);
  const auto last = size.number_of(stop - 1);
  const auto scanned = TRY(wal::scan_segments(options, first, last, reader, std::move(sink)));
  return scanned.end.last_record_end;
}

static Result<void> check_reached(Lsn end, Lsn stop) {
  if (end >= stop) return {};
  return Error::transient(fmt::format("the WAL can't be read beyond {}", to_string(end)));
}

Result<void> scan_backup_wal(const WalArchive& archive, const TimelineHistory& history, Lsn start,
                             Lsn stop, wal::ScanSink sink) {
  const auto end = TRY(scan(archive, history, start, stop, std::move(sink)));
  return check_reached(end, stop);
}

static Error not_its_wal(const std::string& what) {
  return Error::conflict("the WAL in the repository is not that of this server: " + what)
      .with_hint(
          "the server was set back (a snapshot, a failed disk), or it is another one than the one "
          "that is streamed; pitr check. If it is meant to replace the old one, restore it with "
          "pitr-restore, or configure it as a new cluster");
}

static Result<void> check_checkpoint(const WalArchive& archive, const TimelineHistory& history,
                                     const BackupWal& backup) {
  bool is_there = false;
  wal::ScanSink sink;
  sink.record = [&](const wal::Record& record) -> Result<void> {
    if (record.start != backup.checkpoint) return {};
    const auto checkpoint = TRY(wal::parse_checkpoint(record));
    is_there = checkpoint && checkpoint->redo == backup.start;
    return {};
  };
  const Lsn reach = std::min(backup.stop, backup.checkpoint + kCheckpointReachBytes);
  const auto end = TRY(scan(archive, history, backup.checkpoint, reach, std::move(sink)));
  if (is_there) return {};
  TRY(check_reached(end, reach));
  return not_its_wal(fmt::format("it has no checkpoint at {} with redo at {}",
                                 to_string(backup.checkpoint), to_string(backup.start)));
}

static Result<void> check_end(const WalArchive& archive, const TimelineHistory& history,
                              const BackupWal& backup) {
  bool is_there = false;
  wal::ScanSink sink;
  sink.record = [&](const wal::Record& record) -> Result<void> {
    if (record.end != backup.stop) return {};
    const auto start = TRY(wal::parse_backup_end(record));
    is_there = start && *start == backup.start;
    return {};
  };
  TRY(scan_backup_wal(archive, history, backup.stop - 1, backup.stop, std::move(sink)));
  if (is_there) return {};
  return not_its_wal(fmt::format("there the backup that started at {} does not end at {}",
                                 to_string(backup.start), to_string(backup.stop)));
}

Result<void> check_backup_wal(const WalArchive& archive, const TimelineHistory& history,
                              const BackupWal& backup) {
  TRY(check_checkpoint(archive, history, backup));
  if (backup.from_standby) return {};
  return check_end(archive, history, backup);
}

}  // namespace pitr
