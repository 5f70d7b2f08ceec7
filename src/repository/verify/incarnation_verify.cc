#include "repository/verify/incarnation_verify.h"

#include <fmt/format.h>

#include <algorithm>

#include "repository/verify/parallel.h"
#include "repository/verify/verify_records.h"
#include "repository/verify/wal_check.h"

namespace pitr {

static constexpr std::size_t kTasksPerState = 4;

IncarnationVerify::IncarnationVerify(IncarnationStore store, const VerifyOptions& options,
                                     ReadMeter& meter)
    : store_(std::move(store)),
      options_(options),
      meter_(meter),
      objects_check_(store_, meter),
      findings_(store_.id()) {}

Result<void> IncarnationVerify::read(Timestamp now) {
  now_ = now;
  stored_ = TRY(list_stored_objects(store_));
  // A record that can't be read is told where it is checked; then nothing counts as in trash.
  const auto records = read_trash(store_);
  if (records) trash_ = trash_at(store_, *records, Timestamp());
  TRY(read_backups());
  choose_objects();
  return choose_units(now);
}

Result<void> IncarnationVerify::read_backups() {
  const BackupCatalog catalog(store_);
  const auto ids = TRY(catalog.list());
  for (const auto& id : ids) {
    if (options_.backup && *options_.backup != id) continue;
    auto manifest = catalog.manifest(id);
    // Expired since it was listed.
    if (!manifest && manifest.error().kind() == ErrorKind::kNotFound) continue;
    Backup backup{id, std::nullopt, {}, BackupVerdict::kGood};
    const auto key = store_.names().backup_manifest(id);
    backup.needs = {key.text(), store_.names().backup_json(id).text()};
    if (manifest) {
      add_contents(store_, *manifest, backup.needs);
      backup.manifest = std::move(*manifest);
    } else if (manifest.error().kind() == ErrorKind::kCorrupt && is_gone(key)) {
      findings_.add_missing(key, manifest.error());
    } else {
      findings_.add(key, manifest.error());
    }
    backups_.push_back(std::move(backup));
  }
  return {};
}

bool IncarnationVerify::has_backup(const BackupId& backup) const {
  return std::ranges::find(backups_, backup, &Backup::id) != backups_.end();
}

// With one backup: what it has, the WAL that it needs, and what is needed to read these.
bool IncarnationVerify::is_wanted(const ObjectKey& key) const {
  if (!options_.backup) return true;
  if (backups_.empty()) return false;
  const auto& backup = backups_.front();
  const auto& names = store_.names();
  const auto& name = key.text();
  if (key == names.identity() || name.ends_with(".history")) return true;
  if (backup.needs.contains(name) || name.starts_with(names.backup_prefix(backup.id))) return true;
  const auto segment = names.segment_of(key);
  if (!segment || !backup.manifest) return false;
  const auto size = store_.segment_size();
  return segment->number >= size.number_of(backup.manifest->start_lsn) &&
         segment->number <= size.number_of(backup.manifest->stop_lsn);
}

// What is in trash needn't be right, unless somebody needs it all the same.
void IncarnationVerify::choose_objects() {
  std::set<std::string> needed;
  for (const auto& backup : backups_) needed.insert(backup.needs.begin(), backup.needs.end());
  std::vector<SegmentId> segments;
  std::set<SegmentId> tails;
  for (const auto& object : stored_.objects) {
    const auto& key = object.info.key;
    const bool is_trash = trash_ && trash_->objects.contains(key.text());
    if (!is_wanted(key) || (is_trash && !needed.contains(key.text()))) continue;
    const auto segment = store_.names().segment_of(key);
    // All tails of a segment are checked together.
    const bool is_tail = object.is(ContainerKind::kTail) && segment;
    if (is_tail && !tails.insert(*segment).second) continue;
    if (options_.depth == VerifyDepth::kFull && object.is(ContainerKind::kSegment) && segment &&
        store_.names().segment(*segment) == key) {
      segments.push_back(*segment);
    } else {
      objects_.push_back(&object);
    }
  }
  runs_ = runs_of_segments(segments, store_.segment_size());
  // The large ones first, so that no worker is left with one in the end.
  std::ranges::stable_sort(objects_, std::greater(),
                           [](const StoredObject* object) { return object->info.size_bytes; });
}

std::uint64_t IncarnationVerify::bytes_to_read() const {
  std::uint64_t bytes = 0;
  for (const auto* object : objects_) bytes += object->info.size_bytes;
  for (const auto& run : runs_) {
    for (const auto& segment : run) {
      const auto* object = stored_.find(store_.names().segment(segment));
      bytes += object ? object->info.size_bytes : 0;
    }
  }
  return bytes;
}

void IncarnationVerify::check_object(const StoredObject& object) {
  const auto& key = object.info.key;
  if (meter_.is_stopped() || findings_.storage_is_away()) return findings_.skipped(key);
  const auto checked = objects_check_.check(object, options_.depth);
  if (checked) {
    findings_.checked();
  } else {
    findings_.add(key, checked.error());
  }
}

void IncarnationVerify::check_objects() {
  const WalCheck wal(store_, objects_check_, meter_, findings_);
  const auto count = objects_.size() + runs_.size();
  // The cycle remembers how far it came.
  const auto step = options_.cycle ? std::size_t{options_.workers} * kTasksPerState : count;
  for (std::size_t from = 0; from < count; from += step) {
    const auto to = std::min(count, from + step);
    work_in_parallel(to - from, options_.workers, [&](std::size_t i) {
      const auto task = from + i;
      if (task < objects_.size()) {
        check_object(*objects_[task]);
      } else {
        wal.check(runs_[task - objects_.size()]);
      }
    });
    if (options_.depth == VerifyDepth::kFull && !options_.backup) note_verified_units(from, to);
  }
}

// Reads every backup that nothing was found of; in a cycle its tables alone.
void IncarnationVerify::check_backups() {
  ComparedFrames compared;
  const auto check = [&](const BackupManifest& manifest) {
    if (options_.cycle) return check_block_map(store_, manifest);
    return check_backup_blocks(store_, manifest, options_.workers, meter_, compared);
  };
  for (auto backup = backups_.rbegin(); backup != backups_.rend(); ++backup) {
    const auto key = store_.names().backup_manifest(backup->id);
    const bool is_whole = std::ranges::none_of(backup->needs, [&](const std::string& name) {
      return findings_.has(ObjectKey::from_parts(name));
    });
    if (!backup->manifest || !is_whole) continue;
    if (meter_.is_stopped() || findings_.storage_is_away()) {
      findings_.skipped(key);
      continue;
    }
    const auto checked = check(*backup->manifest);
    // It may have been expired while it was read.
    if (checked || is_gone(store_.names().backup_json(backup->id))) continue;
    if (note_missing_contents(*backup)) continue;
    const bool was_there_again = checked.error().kind() == ErrorKind::kNotFound;
    findings_.add(key,
                  was_there_again ? Error::transient(checked.error().message()) : checked.error());
  }
}

void IncarnationVerify::judge() {
  for (auto& backup : backups_) {
    for (const auto& name : backup.needs) {
      const auto key = ObjectKey::from_parts(name);
      if (findings_.is_damaged(key)) {
        backup.verdict = BackupVerdict::kDamaged;
        findings_.all().at(name).backups.push_back(backup.id);
      } else if (findings_.has(key) && backup.verdict == BackupVerdict::kGood) {
        backup.verdict = BackupVerdict::kNotChecked;
      }
    }
    const bool is_late =
        options_.cycle && !std::ranges::all_of(backup.needs, [&](const auto& name) {
          return was_verified_in_time(ObjectKey::from_parts(name));
        });
    const bool is_unknown = is_late || meter_.is_stopped() || !backup.manifest;
    if (is_unknown && backup.verdict == BackupVerdict::kGood) {
      backup.verdict = BackupVerdict::kNotChecked;
    }
  }
}

void IncarnationVerify::finish(VerifyReport& report) {
  judge();
  for (auto& [name, finding] : findings_.all()) {
    if (finding.kind != FindingKind::kUnchecked) {
      finding.lost = lost_by(ObjectKey::from_parts(name));
    }
    report.findings.push_back(finding);
  }
  for (const auto& backup : backups_) {
    report.backups.push_back({store_.id(), backup.id, backup.verdict});
  }
  report.checked_objects += findings_.checked_count();
  report.unchecked_objects += findings_.unchecked_count();
  if (options_.backup) return;
  for (const auto& name : stored_.unknown) {
    report.warnings.push_back(
        fmt::format("{}: no object of this version of pitr has such a name", name));
  }
}

Result<void> IncarnationVerify::record(Timestamp now) {
  for (const auto& backup : backups_) {
    if (backup.verdict == BackupVerdict::kDamaged) {
      TRY(remove_verifications(store_, backup.id));
    } else if (backup.verdict == BackupVerdict::kGood && options_.depth == VerifyDepth::kFull) {
      const auto how = options_.cycle ? VerifiedHow::kInTurn : VerifiedHow::kInFull;
      TRY(put_verification(store_, backup.id, {now, backup.needs.size(), how}));
    }
  }
  TRY(record_packs(now));
  return options_.depth == VerifyDepth::kFull && !options_.backup ? store_state() : Result<void>();
}

Result<void> IncarnationVerify::record_packs(Timestamp now) {
  const auto prefix = store_.names().pack_prefix();
  for (const auto& [name, finding] : findings_.all()) {
    if (!name.starts_with(prefix) || finding.kind == FindingKind::kUnchecked) continue;
    TRY(put_damaged_pack(store_, {ObjectKey::from_parts(name), now, finding.problem.message()}));
  }
  const auto known = TRY(damaged_packs(store_));
  for (const auto& damaged : known) {
    const bool was_checked = std::ranges::any_of(
        objects_, [&](const StoredObject* object) { return object->info.key == damaged.pack; });
    const bool is_right = was_checked && !findings_.has(damaged.pack);
    // Missing ones are findings as long as somebody needs them.
    const bool is_unneeded = !options_.backup && !stored_.find(damaged.pack) &&
                             !findings_.has(damaged.pack) && is_gone(damaged.pack);
    if (is_right || is_unneeded) TRY(remove_damaged_pack(store_, damaged.pack));
  }
  return {};
}

}  // namespace pitr
