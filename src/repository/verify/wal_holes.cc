#include "repository/verify/wal_holes.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "repository/backup/backup_reader.h"
#include "repository/backup/backup_writer.h"
#include "repository/expire/lease.h"
#include "repository/expire/trash.h"
#include "repository/wal/wal_coverage.h"

namespace pitr {

namespace {

// What is there, and where expire may have stopped taking. Objects are read before those who need
// them, as expire does.
class WalHoles {
 public:
  explicit WalHoles(const IncarnationStore& store) : store_(store) {}

  Result<void> read(Timestamp now);
  bool is_lost(SegmentId segment) const;

 private:
  using Numbers = std::set<std::uint64_t>;

  Result<void> read_segments(const Trash& trash, const std::vector<ObjectInfo>& objects);
  Result<void> read_histories();
  Result<void> read_leases();
  Result<void> read_backups();
  Result<void> read_backup(const BackupId& id);
  Result<void> read_starts_of_attempts();
  void add_end(TimelineId timeline, Lsn lsn);
  bool is_end(TimelineId timeline, std::uint64_t number) const;

  const IncarnationStore& store_;
  std::map<TimelineId, Numbers> there_;  // without what is in trash
  std::set<TimelineId> in_trash_;        // timelines that have something there
  std::set<SegmentId> starts_, ends_;
  Numbers starts_anywhere_;  // an intent doesn't say the timeline
  Numbers starts_of_unreadable_;
  bool is_uncertain_ = false;
};

Result<void> WalHoles::read(Timestamp now) {
  const auto objects = TRY(list_all(store_.storage(), store_.names().wal_prefix()));
  const auto records = TRY(read_trash(store_));
  const auto trash = trash_at(store_, records, now);
  is_uncertain_ = !trash.backups.empty();
  TRY(read_segments(trash, objects));
  TRY(read_histories());
  TRY(read_leases());
  TRY(read_backups());
  return read_starts_of_attempts();
}

Result<void> WalHoles::read_segments(const Trash& trash, const std::vector<ObjectInfo>& objects) {
  const auto& names = store_.names();
  for (const auto& object : objects) {
    const auto segment = names.segment_of(object.key);
    if (!segment) continue;
    const bool is_wal = object.key == names.segment(*segment) ||
                        object.key.text().starts_with(names.tail_prefix(*segment));
    if (!is_wal) continue;
    if (trash.objects.contains(object.key.text())) {
      in_trash_.insert(segment->timeline);
    } else {
      there_[segment->timeline].insert(segment->number);
    }
  }
  return {};
}

// At a border between segments the one behind it belongs to it, too.
void WalHoles::add_end(TimelineId timeline, Lsn lsn) {
  const auto size = store_.segment_size();
  ends_.insert({timeline, size.number_of(lsn)});
  if (lsn.value() > 0) ends_.insert({timeline, size.number_of(Lsn(lsn.value() - 1))});
}

// A history that can't be read is told where it is checked.
Result<void> WalHoles::read_histories() {
  const WalArchive archive(store_);
  const auto timelines = TRY(archive.timelines());
  for (const auto timeline : timelines) {
    const auto history = stored_history(archive, timeline);
    if (!history && history.error().kind() == ErrorKind::kTransient) return history.error();
    if (!history) continue;
    for (const auto& ancestor : history->ancestors()) {
      add_end(ancestor.timeline, ancestor.switch_point);
      add_end(ancestor.timeline,
              history->switch_point(ancestor.timeline).value_or(ancestor.switch_point));
    }
  }
  return {};
}

Result<void> WalHoles::read_leases() {
  const auto leases = pitr::read_leases(store_);
  if (!leases && leases.error().kind() == ErrorKind::kTransient) return leases.error();
  if (!leases) return {};
  for (const auto& lease : *leases) {
    for (const auto& wal : lease.needs.wal) {
      starts_.insert({wal.timeline, wal.first});
      ends_.insert({wal.timeline, wal.last});
    }
  }
  return {};
}

Result<void> WalHoles::read_backups() {
  const auto ids = TRY(BackupCatalog(store_).list());
  for (const auto& id : ids) TRY(read_backup(id));
  return {};
}

static Result<std::uint64_t> start_of_attempt(const IncarnationStore& store, const ObjectKey& key) {
  const auto bytes = TRY(store.get_sealed(ContainerKind::kIntent, key));
  const auto intent = TRY(decode_intent(bytes));
  return store.segment_size().number_of(intent.start_lsn);
}

Result<void> WalHoles::read_backup(const BackupId& id) {
  const auto manifest = BackupCatalog(store_).manifest(id);
  if (manifest) {
    starts_.insert({manifest->timeline, store_.segment_size().number_of(manifest->start_lsn)});
    add_end(manifest->timeline, manifest->stop_lsn);
    return {};
  }
  if (manifest.error().kind() == ErrorKind::kTransient) return manifest.error();
  // Its intent says where it starts; where it stops isn't known.
  const auto start = start_of_attempt(store_, store_.names().backup_intent(id));
  if (start) {
    starts_of_unreadable_.insert(*start);
  } else if (start.error().kind() == ErrorKind::kTransient) {
    return start.error();
  } else {
    is_uncertain_ = true;
  }
  return {};
}

// Of those that died, too: their WAL stays for as long as they could have gone on.
Result<void> WalHoles::read_starts_of_attempts() {
  const auto objects = TRY(list_all(store_.storage(), store_.names().backup_prefix()));
  for (const auto& object : objects) {
    if (!object.key.text().ends_with("/intent")) continue;
    const auto start = start_of_attempt(store_, object.key);
    if (start) starts_anywhere_.insert(*start);
    if (!start && start.error().kind() == ErrorKind::kTransient) return start.error();
  }
  return {};
}

bool WalHoles::is_end(TimelineId timeline, std::uint64_t number) const {
  if (ends_.contains({timeline, number})) return true;
  // It may be the end of a backup that starts in the same stretch of segments.
  const auto& numbers = there_.at(timeline);
  for (auto start = number; numbers.contains(start); --start) {
    if (starts_of_unreadable_.contains(start)) return true;
    if (start == 0) break;
  }
  return false;
}

bool WalHoles::is_lost(SegmentId segment) const {
  if (is_uncertain_) return false;
  const auto found = there_.find(segment.timeline);
  // Of the whole timeline nothing is left.
  if (found == there_.end()) return !in_trash_.contains(segment.timeline);
  const auto& numbers = found->second;
  const auto behind = numbers.lower_bound(segment.number);
  if (behind != numbers.end() && *behind == segment.number) return false;
  const bool has_begin = behind != numbers.begin();
  const bool begins_right = !has_begin || is_end(segment.timeline, *std::prev(behind));
  const bool ends_right = behind == numbers.end() || starts_anywhere_.contains(*behind) ||
                          starts_.contains({segment.timeline, *behind});
  return !begins_right || !ends_right;
}

}  // namespace

Result<std::vector<SegmentId>> lost_segments(const IncarnationStore& store,
                                             std::vector<SegmentId> once_stored, Timestamp now) {
  static constexpr int kLooks = 2;
  for (int look = 0; look < kLooks && !once_stored.empty(); ++look) {
    WalHoles holes(store);
    TRY(holes.read(now));
    std::erase_if(once_stored, [&](SegmentId segment) { return !holes.is_lost(segment); });
  }
  return once_stored;
}

}  // namespace pitr
