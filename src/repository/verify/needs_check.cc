// What has to be there: the steps of IncarnationVerify that look for what is missing.
#include <fmt/format.h>

#include <algorithm>

#include "repository/verify/incarnation_verify.h"
#include "repository/verify/wal_holes.h"

namespace pitr {

bool IncarnationVerify::is_gone(const ObjectKey& key) {
  const auto stored = store_.storage().stat(key);
  return !stored && stored.error().kind() == ErrorKind::kNotFound;
}

void IncarnationVerify::check_needs() {
  const WalArchive archive(store_);
  const FactsStore facts(store_);
  for (auto& backup : backups_) {
    if (meter_.is_stopped() || findings_.storage_is_away()) {
      findings_.skipped(store_.names().backup_manifest(backup.id));
      continue;
    }
    check_contents(backup);
    check_wal_of(backup, archive, facts);
  }
  if (options_.backup || meter_.is_stopped() || findings_.storage_is_away()) return;
  check_histories();
  check_segments_of_facts();
  check_segments_of_rollups(facts);
  check_windows(archive, facts);
}

// It was listed, and didn't vanish when it was to be read.
bool IncarnationVerify::is_listed(const ObjectKey& key) const {
  return stored_.find(key) && !findings_.has_vanished(key);
}

void IncarnationVerify::check_contents(const Backup& backup) {
  for (const auto& name : backup.needs) {
    const auto key = ObjectKey::from_parts(name);
    if (is_listed(key) || findings_.has(key)) continue;
    // Written since the names were listed, or expired with its backup.
    if (!is_gone(key) || is_gone(store_.names().backup_json(backup.id))) continue;
    findings_.add_missing(key, Error::corrupt(name + " is missing"));
  }
}

// Of a backup that couldn't be read since something is gone. False: all is there.
bool IncarnationVerify::note_missing_contents(const Backup& backup) {
  bool is_found = false;
  for (const auto& name : backup.needs) {
    const auto key = ObjectKey::from_parts(name);
    if (findings_.has(key) || !is_gone(key)) continue;
    findings_.add_missing(key, Error::corrupt(name + " is missing"));
    is_found = true;
  }
  return is_found;
}

// The segment at which coverage ends: the one that is missing, or that can't be read on.
SegmentId IncarnationVerify::end_of(const WalCoverage& coverage, const TimelineHistory& history,
                                    Lsn from) {
  const auto size = store_.segment_size();
  if (coverage.segments.empty()) return {history.timeline_at(from), size.number_of(from)};
  const auto& last = coverage.segments.back();
  const auto number = last.segment.number + 1;
  const SegmentId next{history.timeline_at(size.start_of(number)), number};
  const auto key = store_.names().segment(next);
  const bool next_is_stored = stored_.find(key) && !is_gone(key);
  // Where nothing was said of damage, the records in the last one end.
  const bool ends_in_last = !last.is_complete || (next_is_stored && !coverage.damage);
  return ends_in_last ? last.segment : next;
}

// Tells why the WAL ends there, unless that is known. Gives the object at which it does.
ObjectKey IncarnationVerify::note_end_of_wal(const WalCoverage& coverage,
                                             const TimelineHistory& history, Lsn from) {
  const auto& names = store_.names();
  if (!coverage.segments.empty()) {
    // Records that begin in a damaged segment can't be put together in the next one.
    const auto last = names.segment(coverage.segments.back().segment);
    if (findings_.has(last)) return last;
  }
  const auto segment = end_of(coverage, history, from);
  const auto key = names.segment(segment);
  const auto tails = list_tails(store_, segment);
  if (tails && !tails->empty() && is_gone(key)) {
    const auto& tail = tails->front();
    if (!findings_.has(tail)) findings_.add_missing(tail, Error::corrupt(coverage.ended_by));
    return tail;
  }
  if (findings_.has(key)) return key;
  if (is_gone(key)) {
    findings_.add_missing(key, Error::corrupt(coverage.ended_by));
  } else {
    findings_.add(key, coverage.damage.value_or(Error::corrupt(coverage.ended_by)));
  }
  return key;
}

// A segment may be completed, and its tails removed, while it is read.
static Result<WalCoverage> coverage_of(const WalArchive& archive, const FactsStore& facts,
                                       const TimelineHistory& history, Lsn from,
                                       std::optional<Lsn> until = std::nullopt) {
  auto coverage = wal_coverage(archive, facts, history, from, until);
  if (coverage || coverage.error().kind() != ErrorKind::kNotFound) return coverage;
  coverage = wal_coverage(archive, facts, history, from, until);
  if (coverage || coverage.error().kind() != ErrorKind::kNotFound) return coverage;
  return Error::transient(coverage.error().message());
}

void IncarnationVerify::check_wal_of(Backup& backup, const WalArchive& archive,
                                     const FactsStore& facts) {
  if (!backup.manifest) return;
  const auto& manifest = *backup.manifest;
  const auto& names = store_.names();
  const auto history_key = names.history(manifest.timeline);
  const auto history = stored_history(archive, manifest.timeline);
  if (manifest.timeline != TimelineId(1)) backup.needs.insert(history_key.text());
  if (!history) {
    if (!is_gone(history_key)) return findings_.add(history_key, history.error());
    return findings_.add_missing(history_key, Error::corrupt(history_key.text() + " is missing"));
  }
  const auto coverage =
      coverage_of(archive, facts, *history, manifest.start_lsn, manifest.stop_lsn);
  if (!coverage) return findings_.add(names.backup_manifest(backup.id), coverage.error());
  for (const auto& covered : coverage->segments) {
    if (covered.is_complete) {
      backup.needs.insert(names.segment(covered.segment).text());
      continue;
    }
    const auto tails = list_tails(store_, covered.segment);
    if (!tails) continue;
    for (const auto& tail : *tails) backup.needs.insert(tail.text());
  }
  if (coverage->ended_by.empty() || is_gone(names.backup_json(backup.id))) return;
  backup.needs.insert(note_end_of_wal(*coverage, *history, manifest.start_lsn).text());
}

// The newest one on the way to the timeline that can be read.
const BackupManifest* IncarnationVerify::newest_backup_on(const TimelineHistory& history) const {
  const BackupManifest* newest = nullptr;
  for (const auto& backup : backups_) {
    const auto& manifest = backup.manifest;
    if (!manifest || !history.contains(manifest->timeline, manifest->stop_lsn)) continue;
    if (!newest || newest->start_lsn < manifest->start_lsn) newest = &*manifest;
  }
  return newest;
}

// From the newest backup on the way to each timeline on no WAL may be missing before other WAL.
void IncarnationVerify::check_windows(const WalArchive& archive, const FactsStore& facts) {
  std::set<TimelineId> timelines;
  for (const auto& object : stored_.objects) {
    const auto timeline = store_.names().timeline_of(object.info.key);
    const bool is_wal = object.is(ContainerKind::kSegment) || object.is(ContainerKind::kTail);
    if (timeline && is_wal) timelines.insert(*timeline);
  }
  for (const auto& timeline : timelines) {
    if (meter_.is_stopped() || findings_.storage_is_away()) return;
    const auto history = stored_history(archive, timeline);
    if (!history) continue;  // told already
    const auto* manifest = newest_backup_on(*history);
    if (manifest) check_window(archive, facts, *history, *manifest);
  }
}

Result<bool> IncarnationVerify::was_taken_by_expire(SegmentId segment) {
  if (!is_gone(store_.names().segment(segment))) return false;
  const auto tails = TRY(list_tails(store_, segment));
  if (!tails.empty()) return false;
  const auto lost = TRY(lost_segments(store_, {segment}, now_));
  return lost.empty();
}

void IncarnationVerify::check_window(const WalArchive& archive, const FactsStore& facts,
                                     const TimelineHistory& history,
                                     const BackupManifest& manifest) {
  const auto coverage = coverage_of(archive, facts, history, manifest.start_lsn);
  if (!coverage) {
    return findings_.add(store_.names().backup_manifest(manifest.id), coverage.error());
  }
  if (!coverage->has_gap) return;
  // Behind the newest backup of all, on its own timeline, expire leaves everything.
  const bool is_newest =
      manifest.id == backups_.back().id && manifest.timeline == history.timeline();
  if (!is_newest) {
    const auto segment = end_of(*coverage, history, manifest.start_lsn);
    const auto was_taken = was_taken_by_expire(segment);
    if (!was_taken) return findings_.add(store_.names().segment(segment), was_taken.error());
    if (*was_taken) return;
  }
  note_end_of_wal(*coverage, history, manifest.start_lsn);
}

void IncarnationVerify::check_histories() {
  std::set<TimelineId> timelines;
  for (const auto& object : stored_.objects) {
    const auto timeline = store_.names().timeline_of(object.info.key);
    if (timeline && object.is(ContainerKind::kSegment)) timelines.insert(*timeline);
  }
  for (const auto& timeline : timelines) {
    const auto key = store_.names().history(timeline);
    if (timeline == TimelineId(1) || is_listed(key) || !is_gone(key)) continue;
    findings_.add_missing(
        key, Error::corrupt(key.text() + " is missing: no restore reaches this timeline")
                 .with_hint("hand the history file over again: pitr-archive"));
  }
}

// Facts are stored after their segment, and go before it.
void IncarnationVerify::check_segments_of_facts() {
  if (!trash_) return;
  for (const auto& object : stored_.objects) {
    const auto& key = object.info.key;
    const auto segment = store_.names().segment_of(key);
    if (!segment || !object.is(ContainerKind::kFacts) || trash_->objects.contains(key.text())) {
      continue;
    }
    const auto wal = store_.names().segment(*segment);
    const bool is_trash = trash_->objects.contains(wal.text());
    if (is_listed(wal) || is_trash || findings_.has(wal)) continue;
    if (!is_gone(wal) || is_gone(key)) continue;
    note_lost_segment(*segment);
  }
}

// Once a log is rolled up, its facts stay for as long as any segment of it is needed; where there
// is no object any more, expire has taken it, or it was lost.
void IncarnationVerify::check_segments_of_rollups(const FactsStore& facts) {
  if (!trash_) return;
  const auto per_log = store_.segment_size().segments_per_log();
  std::vector<SegmentId> gone;
  for (const auto& object : stored_.objects) {
    const auto rollup = store_.names().rollup_of(object.info.key);
    if (!rollup || trash_->objects.contains(object.info.key.text())) continue;
    const auto first = rollup->second * per_log;
    const auto known = facts.range(rollup->first, first, first + per_log - 1);
    // Damage is told where it is checked.
    if (!known && known.error().kind() == ErrorKind::kCorrupt) continue;
    if (!known) {
      findings_.add(object.info.key, known.error());
      continue;
    }
    for (const auto& one : *known) {
      const auto key = store_.names().segment(one.segment);
      const bool is_trash = trash_->objects.contains(key.text());
      if (!is_listed(key) && !is_trash) gone.push_back(one.segment);
    }
  }
  if (gone.empty()) return;
  const auto first = store_.names().segment(gone.front());
  const auto lost = lost_segments(store_, std::move(gone), now_);
  if (!lost) return findings_.add(first, lost.error());
  for (const auto& segment : *lost) {
    const auto key = store_.names().segment(segment);
    if (lost_by(key) && !findings_.has(key)) note_lost_segment(segment);
  }
}

void IncarnationVerify::note_lost_segment(SegmentId segment) {
  findings_.add_missing(
      store_.names().segment(segment),
      Error::corrupt(fmt::format("segment {} is missing, and its facts are there",
                                 segment_file_name(segment, store_.segment_size())))
          .with_hint("if the server or another archive still has it, hand it over again: "
                     "pitr-archive"));
}

std::optional<LostWal> IncarnationVerify::lost_by(const ObjectKey& key) const {
  const auto& names = store_.names();
  const auto segment = names.segment_of(key);
  const bool is_wal = segment && (key == names.segment(*segment) ||
                                  key.text().starts_with(names.tail_prefix(*segment)));
  if (!is_wal) return std::nullopt;
  const auto size = store_.segment_size();
  // Before the first backup there is nothing to lose.
  const bool is_behind_a_backup = std::ranges::any_of(backups_, [&](const Backup& backup) {
    return backup.manifest && backup.manifest->start_lsn < size.start_of(segment->number + 1);
  });
  if (!is_behind_a_backup) return std::nullopt;
  LostWal lost{segment->timeline, size.start_of(segment->number), std::nullopt};
  for (const auto& backup : backups_) {
    if (!backup.manifest || backup.manifest->timeline != segment->timeline) continue;
    if (backup.manifest->start_lsn < size.start_of(segment->number + 1)) continue;
    lost.to = std::min(lost.to.value_or(backup.manifest->stop_lsn), backup.manifest->stop_lsn);
  }
  return lost;
}

}  // namespace pitr
