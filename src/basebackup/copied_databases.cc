#include "basebackup/copied_databases.h"

#include <fmt/format.h>

#include <algorithm>

#include "postgres/wal/database_copy.h"
#include "postgres/wal/record_changes.h"
#include "postgres/wal/xact_scan.h"
#include "repository/wal/changes_between.h"

namespace pitr {
namespace {

// Each keeps what changes after it.
constexpr std::size_t kMostCopies = 100;

class CopyWatch {
 public:
  CopyWatch(Lsn start, Lsn stop) : start_(start), stop_(stop) {}

  Result<void> see(const wal::Record& record) {
    if (record.start < start_ || record.start >= stop_) return {};
    if (wal::is_hint_only(record.header)) return {};
    for (auto& seen : copies_) wal::add_changes(record, seen.after);
    const auto copy = TRY(wal::parse_database_copy(record));
    if (!copy) return {};
    if (copies_.size() == kMostCopies) {
      return Error::transient(
          fmt::format("more than {} databases were copied or moved", kMostCopies));
    }
    copies_.push_back({*copy, {}});
    return {};
  }

  Result<void> judge() const {
    for (const auto& [copy, after] : copies_) {
      if (!touches(after, copy.from)) continue;
      if (copy.from.database == copy.to.database) {
        return Error::transient(fmt::format(
            "the database with OID {} was moved to another tablespace", copy.to.database));
      }
      return Error::transient(
          fmt::format("the database with OID {} was made by copying the one with OID {}, which was "
                      "changed or dropped then",
                      copy.to.database, copy.from.database));
    }
    return {};
  }

 private:
  struct Seen {
    wal::DatabaseCopy copy;
    wal::ChangedBlocks after;
  };

  static bool touches(const wal::ChangedBlocks& changed, const RelationDirectory& directory) {
    if (changed.distrusted()) return true;
    const auto is_in_it = [&](const wal::RelationId& relation) {
      return relation.tablespace == directory.tablespace && relation.database == directory.database;
    };
    return changed.is_rewritten({directory.tablespace, directory.database, 0}) ||
           std::ranges::any_of(changed.relations(), is_in_it);
  }

  const Lsn start_;
  const Lsn stop_;
  std::vector<Seen> copies_;
};

Result<void> scan(const WalArchive& archive, const TimelineHistory& history, Lsn start, Lsn stop,
                  CopyWatch& watch) {
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
  wal::ScanSink sink;
  sink.record = [&](const wal::Record& record) { return watch.see(record); };
  const auto first = size.number_of(start);
  const auto last = size.number_of(stop - 1);
  const auto scanned = TRY(wal::scan_segments(options, first, last, reader, std::move(sink)));
  if (scanned.end.last_record_end >= stop) return {};
  return Error::transient(
      fmt::format("the WAL can't be read beyond {}", to_string(scanned.end.last_record_end)));
}

}  // namespace

Result<void> check_copied_databases(const WalArchive& archive, const FactsStore& facts,
                                    const TimelineHistory& history, Lsn start, Lsn stop) {
  const auto changes = TRY(changes_between(archive, facts, history, start, stop));
  if (changes.is_covered() && changes.blocks.rewritten_databases().empty()) return {};
  CopyWatch watch(start, stop);
  auto judged = scan(archive, history, start, stop, watch);
  if (judged.has_value()) judged = watch.judge();
  if (judged.has_value() || judged.error().kind() != ErrorKind::kTransient) return judged;
  return std::move(judged)
      .error()
      .with_context("while the backup ran")
      .with_hint("start it again: this one, restored, would copy files that it doesn't have");
}

}  // namespace pitr
