#include "repository/expire/needs.h"

#include <algorithm>

namespace pitr {

Needs::Needs(const IncarnationStore& store, const StoredState& state,
             const std::set<BackupId>& gone, const RetentionPlan& plan, std::uint32_t incarnation)
    : store_(store), plan_(plan), incarnation_(incarnation) {
  const auto size = store.segment_size();
  for (const auto& backup : state.published) {
    const auto& manifest = backup.manifest;
    if (gone.contains(manifest.id)) continue;
    add_contents(store, manifest, contents_);
    for (const auto& object : state.backup_objects.at(manifest.id)) {
      backup_objects_.insert(object.key.text());
    }
    // Also of those that only a lease keeps: the plan doesn't know of them.
    wal_.push_back(
        {manifest.timeline, size.number_of(manifest.start_lsn), size.number_of(manifest.stop_lsn)});
  }
  for (const auto& attempt : state.attempts) {
    if (!attempt.is_alive) continue;
    if (attempt.manifest) add_contents(store, *attempt.manifest, contents_);
    live_prefixes_.push_back(store.names().pack_prefix(attempt.id));
    live_prefixes_.push_back(store.names().backup_prefix(attempt.id));
    oldest_attempt_ = std::min(oldest_attempt_.value_or(attempt.written), attempt.written);
    const auto start = size.number_of(attempt.intent->start_lsn);
    attempts_wal_ = std::min(attempts_wal_.value_or(start), start);
  }
  for (const auto& lease : state.leases) {
    if (lease.until < state.now) continue;
    for (const auto& wal : lease.needs.wal) wal_.push_back({wal.timeline, wal.first, wal.last});
  }
}

bool Needs::pack(const ObjectInfo& object) const {
  const auto& name = object.key.text();
  return contents_.contains(name) || std::ranges::any_of(live_prefixes_, [&](const auto& prefix) {
           return name.starts_with(prefix);
         });
}

bool Needs::table(const ObjectInfo& object) const {
  const bool may_be_new = oldest_attempt_ && object.modified >= *oldest_attempt_;
  return may_be_new || contents_.contains(object.key.text());
}

bool Needs::segments(TimelineId timeline, std::uint64_t first, std::uint64_t last) const {
  if (attempts_wal_ && last >= *attempts_wal_) return true;
  const bool is_in_use = std::ranges::any_of(wal_, [&](const SegmentRange& range) {
    return range.timeline == timeline && range.first <= last && first <= range.last;
  });
  const auto size = store_.segment_size();
  return is_in_use || plan_.keeps_wal(incarnation_, timeline.value(), size.start_of(first).value(),
                                      size.start_of(last + 1).value());
}

bool Needs::wal(const ObjectKey& key) const {
  if (const auto segment = store_.names().segment_of(key)) {
    return segments(segment->timeline, segment->number, segment->number);
  }
  const auto rollup = store_.names().rollup_of(key);
  if (!rollup) return true;
  const auto per_log = store_.segment_size().segments_per_log();
  return segments(rollup->first, rollup->second * per_log, (rollup->second + 1) * per_log - 1);
}

bool Needs::anything(const ObjectInfo& object) const {
  const auto& name = object.key.text();
  const auto& names = store_.names();
  if (backup_objects_.contains(name) || pack(object)) return true;
  if (name.starts_with(names.table_prefix())) return table(object);
  if (name.starts_with(names.wal_prefix()) || name.starts_with(names.facts_prefix())) {
    return wal(object.key);
  }
  // Else only what a dead or dropped backup left is ever put into trash.
  return !name.starts_with(names.pack_prefix()) && !name.starts_with(names.backup_prefix());
}

}  // namespace pitr
