#include "basebackup/copied_databases.h"

#include <fmt/format.h>

#include <algorithm>

#include "basebackup/backup_wal.h"
#include "postgres/wal/database_copy.h"
#include "postgres/wal/record_changes.h"
#include "repository/wal/changes_between.h"

namespace pitr {
namespace {

constexpr std::size_t kMostCopies = 100;

class CopyWatch {
 public:
  CopyWatch(Lsn start, Lsn stop) : start_(start), stop_(stop) {}

  Result<void> see(const wal::Record& record) {
    if (record.start < start_ || record.start >= stop_) return {};
    if (wal::is_hint_only(record.header)) return {};
    if (!copies_.empty()) note_changes(record);
    const auto copy = TRY(wal::parse_database_copy(record));
    if (!copy) return {};
    if (copies_.size() == kMostCopies) {
      return Error::transient(
          fmt::format("more than {} databases were copied or moved", kMostCopies));
    }
    copies_.push_back({*copy});
    return {};
  }

  Result<void> judge() const {
    for (const auto& [copy, has_changed] : copies_) {
      if (!has_changed) continue;
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
    bool has_changed = false;  // its original, behind the copy
  };

  void note_changes(const wal::Record& record) {
    wal::ChangedBlocks changed;
    wal::add_changes(record, changed);
    for (auto& seen : copies_) seen.has_changed |= touches(changed, seen.copy.from);
  }

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

}  // namespace

Result<void> check_copied_databases(const WalArchive& archive, const FactsStore& facts,
                                    const TimelineHistory& history, Lsn start, Lsn stop) {
  const auto changes = TRY(changes_between(archive, facts, history, start, stop));
  if (changes.is_covered() && changes.blocks.rewritten_databases().empty()) return {};
  CopyWatch watch(start, stop);
  wal::ScanSink sink;
  sink.record = [&](const wal::Record& record) { return watch.see(record); };
  auto judged = scan_backup_wal(archive, history, start, stop, std::move(sink));
  if (judged.has_value()) judged = watch.judge();
  if (judged.has_value() || judged.error().kind() != ErrorKind::kTransient) return judged;
  return std::move(judged)
      .error()
      .with_context("while the backup ran")
      .with_hint("start it again: this one, restored, would copy files that it doesn't have");
}

}  // namespace pitr
