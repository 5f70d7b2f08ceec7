#include "repository/expire/incarnation_expire.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "repository/wal/wal_coverage.h"

namespace pitr {

namespace {

constexpr Microseconds kLargestClockDifference = std::chrono::hours(1);
constexpr std::size_t kMostObjectsPerRecord = 50'000;

}  // namespace

// Anywhere between two requests: the next run goes on from what it finds.
Result<void> IncarnationExpire::check_stop() const {
  if (!stop_.stop_requested()) return {};
  return Error::cancelled("it was stopped; the next run goes on where this one was");
}

// The store wrote at `stored`, between `before` and now.
Result<void> IncarnationExpire::check_clock(Timestamp before, Timestamp stored) const {
  const bool is_early = stored + kLargestClockDifference < before;
  const bool is_late = stored > clock_.now() + kLargestClockDifference;
  if (!is_early && !is_late) return {};
  return Error::invalid(fmt::format("the clock of this host says {}, that of {} says {}",
                                    to_string(before), store_.storage().description(),
                                    to_string(stored)))
      .with_hint("nothing is expired before both are right");
}

Result<void> IncarnationExpire::read() {
  TRY(check_stop());
  auto now = clock_.now();
  if (!options_.dry_run) {
    const auto record = TRY(put_trash(store_, clock_, {}, {}, 0));
    own_records_.push_back(record.key);
    TRY(check_clock(now, record.since));
    now = record.since;
  }
  state_ = TRY(read_stored_state(store_, now, options_.grace));
  return {};
}

Result<std::vector<RetentionTimeline>> IncarnationExpire::timelines(std::uint32_t index) const {
  std::map<TimelineId, Timestamp> last_written, facts_written;
  // Facts are made again at times, so they tell the time only of a timeline that began since WAL
  // was listed.
  for (const auto& object : state_.facts) {
    const auto timeline = store_.names().timeline_of(object.key);
    if (!timeline) continue;
    auto& last = facts_written[*timeline];
    last = std::max(last, object.modified);
  }
  for (const auto* objects : {&state_.wal, &state_.watermarks}) {
    for (const auto& object : *objects) {
      const auto timeline = store_.names().timeline_of(object.key);
      if (!timeline) continue;
      // A history file alone is no timeline that anything was written on.
      const bool is_history = object.key == store_.names().history(*timeline);
      if (is_history) continue;
      auto& last = last_written[*timeline];
      last = std::max(last, object.modified);
    }
  }
  for (const auto& backup : state_.published) {
    auto& last = last_written[backup.manifest.timeline];
    last = std::max(last, backup.manifest.stop_time);
  }
  last_written.merge(facts_written);
  const WalArchive archive(store_);
  std::vector<RetentionTimeline> found;
  for (const auto& [timeline, last] : last_written) {
    // Without it nobody knows which WAL and backups lead there.
    const auto history = stored_history(archive, timeline);
    if (!history) {
      auto error = history.error();
      return std::move(error)
          .with_context("what has to be kept isn't known")
          .with_hint("put the history file into the repository (pitr-archive), or restore it");
    }
    RetentionTimeline described{index, timeline.value(), {}, last};
    std::uint64_t before = 0;
    for (const auto& ancestor : history->ancestors()) {
      const auto end = history->switch_point(ancestor.timeline).value_or(ancestor.switch_point);
      if (end.value() <= before) continue;  // nothing of it is part of the way
      before = end.value();
      described.ancestors.push_back({ancestor.timeline.value(), before});
    }
    found.push_back(std::move(described));
  }
  return found;
}

Result<void> IncarnationExpire::describe(std::uint32_t index, RetentionInput& input,
                                         std::vector<ExpireBackup>& backups) const {
  input.now = std::max(input.now, state_.now);
  const auto own = own_bytes();
  for (const auto& [manifest, pins, is_verified] : state_.published) {
    RetentionBackup backup;
    backup.id = manifest.id.text();
    backup.incarnation = index;
    backup.timeline = manifest.timeline.value();
    backup.start_lsn = manifest.start_lsn.value();
    backup.stop_lsn = manifest.stop_lsn.value();
    backup.stop_time = manifest.stop_time;
    backup.is_verified = is_verified;
    for (const auto& pin : pins) backup.pins.push_back({pin.label, pin.expires});
    input.backups.push_back(std::move(backup));
    backups.push_back({store_.id(),
                       manifest.id,
                       manifest.start_time,
                       manifest.stop_time,
                       own.at(manifest.id),
                       {}});
  }
  auto found = TRY(timelines(index));
  std::ranges::move(found, std::back_inserter(input.timelines));
  for (const auto* objects : {&state_.packs, &state_.tables, &state_.wal, &state_.facts}) {
    for (const auto& object : *objects) input.stored_bytes += object.size_bytes;
  }
  return {};
}

std::map<BackupId, std::uint64_t> IncarnationExpire::own_bytes() const {
  std::map<std::string, std::vector<const BackupId*>> users;
  for (const auto& backup : state_.published) {
    std::set<std::string> contents;
    add_contents(store_, backup.manifest, contents);
    for (const auto& name : contents) users[name].push_back(&backup.manifest.id);
  }
  std::map<BackupId, std::uint64_t> own;
  for (const auto& backup : state_.published) own[backup.manifest.id] = 0;
  for (const auto* objects : {&state_.packs, &state_.tables}) {
    for (const auto& object : *objects) {
      const auto found = users.find(object.key.text());
      if (found == users.end() || found->second.size() != 1) continue;
      own[*found->second.front()] += object.size_bytes;
    }
  }
  return own;
}

Result<void> IncarnationExpire::drop(std::set<BackupId> unwanted,
                                     std::map<BackupId, std::string>& held) {
  held = held_backups(state_);
  std::erase_if(unwanted, [&](const BackupId& backup) { return held.contains(backup); });
  if (!options_.dry_run && !unwanted.empty()) {
    const auto deadline = clock_.steady_now() + TrashRecord::kDropLasts / 2;
    const auto record = TRY(put_trash(store_, clock_, {unwanted.begin(), unwanted.end()}, {}, 0));
    own_records_.push_back(record.key);
    // Who came before the record is seen now, who comes later sees the record.
    auto again = TRY(read_stored_state(store_, record.since, options_.grace));
    held.merge(held_backups(again));
    for (const auto& backup : again.published) {
      const bool is_pinned = std::ranges::any_of(backup.pins, [&](const BackupPin& pin) {
        return !pin.expires || *pin.expires > record.since;
      });
      if (is_pinned) held.emplace(backup.manifest.id, "pinned just now");
    }
    std::erase_if(unwanted, [&](const BackupId& backup) { return held.contains(backup); });
    for (const auto& backup : unwanted) {
      TRY(check_stop());
      if (clock_.steady_now() > deadline) {
        return Error::transient(
                   "the repository is too slow: others don't heed the announcement "
                   "of what is dropped any more")
            .with_hint("run pitr expire again");
      }
      TRY(remove_backup(backup));
    }
    // A backup on one of these may have been published since the first look. Who comes later finds
    // them gone. Of WAL the plan knows only what was there when it was made: a timeline that began
    // since then isn't one that nobody needs.
    again.wal = std::move(state_.wal);
    again.facts = std::move(state_.facts);
    state_ = std::move(again);
  }
  gone_ = std::move(unwanted);
  for (const auto& backup : state_.published) {
    if (gone_.contains(backup.manifest.id)) {
      add_contents(store_, backup.manifest, dropped_contents_);
    }
  }
  return {};
}

// backup.json first: from then on the backup doesn't exist. The intent last, so that what is left
// of an interrupted removal has a name.
Result<void> IncarnationExpire::remove_backup(const BackupId& backup) {
  auto& storage = store_.storage();
  const auto& names = store_.names();
  TRY(storage.remove(names.backup_json(backup)));
  TRY(storage.remove(names.backup_manifest(backup)));
  const auto objects = TRY(list_all(storage, names.backup_prefix(backup)));
  for (const auto& object : objects) {
    if (object.key != names.backup_intent(backup)) TRY(storage.remove(object.key));
  }
  return storage.remove(names.backup_intent(backup));
}

bool IncarnationExpire::is_of_dropped_backup(const ObjectInfo& object) const {
  return dropped_contents_.contains(object.key.text());
}

Result<void> IncarnationExpire::put_unneeded_into_trash(const Needs& needs, ExpireReport& report) {
  std::set<std::string> known;
  for (const auto& record : state_.trash) {
    for (const auto& object : record.objects) known.insert(store_.names().prefix() + object);
  }
  std::vector<std::string> objects;
  std::uint64_t bytes = 0;
  const auto flush = [&]() -> Result<void> {
    TRY(check_stop());
    if (!objects.empty() && !options_.dry_run) {
      std::ranges::sort(objects);
      TRY(put_trash(store_, clock_, {}, std::move(objects), bytes));
    }
    objects.clear();
    bytes = 0;
    return {};
  };
  const auto add = [&](const ObjectInfo& object, ObjectCount& count,
                       bool is_leaked) -> Result<void> {
    if (known.contains(object.key.text())) return {};
    count.add(object.size_bytes);
    if (is_leaked) report.leaked.add(object.size_bytes);
    objects.push_back(object.key.text().substr(store_.names().prefix().size()));
    bytes += object.size_bytes;
    return objects.size() < kMostObjectsPerRecord ? Result<void>() : flush();
  };
  for (const auto& object : state_.packs) {
    if (needs.pack(object)) continue;
    TRY(add(object, report.unneeded_files, !is_of_dropped_backup(object)));
  }
  for (const auto& object : state_.tables) {
    if (needs.table(object)) continue;
    TRY(add(object, report.unneeded_files, !is_of_dropped_backup(object)));
  }
  for (const auto& attempt : state_.attempts) {
    if (attempt.is_alive) continue;
    for (const auto& object : state_.backup_objects.at(attempt.id)) {
      TRY(add(object, report.unneeded_files, true));
    }
  }
  for (const auto* stored : {&state_.wal, &state_.facts}) {
    for (const auto& object : *stored) {
      if (!needs.wal(object.key)) TRY(add(object, report.unneeded_wal, false));
    }
  }
  return flush();
}

ObjectInfo IncarnationExpire::describe_object(const std::string& name) const {
  const auto key = ObjectKey::from_parts(store_.names().prefix() + name);
  for (const auto* objects : {&state_.packs, &state_.tables, &state_.wal, &state_.facts}) {
    const auto found = std::ranges::lower_bound(*objects, key, {}, &ObjectInfo::key);
    if (found != objects->end() && found->key == key) return *found;
  }
  return {key, 0, Timestamp()};
}

// Restores are refused what is in trash, so what somebody needs again is taken out. The rest goes
// into a record of its own first, and waits anew. A record that is nearly due is left alone:
// another run may be deleting by it already.
Result<void> IncarnationExpire::keep_waiting(const TrashRecord& record, const Needs& needs,
                                             ExpireReport& report) {
  std::vector<std::string> rest;
  auto rest_bytes = record.stored_bytes;
  for (const auto& name : record.objects) {
    const auto object = describe_object(name);
    if (needs.anything(object)) {
      rest_bytes -= std::min(rest_bytes, object.size_bytes);
    } else {
      rest.push_back(name);
    }
  }
  report.waiting.objects += rest.size();
  report.waiting.bytes += rest_bytes;
  const bool is_nearly_due = record.since + options_.grace <= state_.now + TrashRecord::kDropLasts;
  const bool is_as_before = rest.size() == record.objects.size();
  if (is_as_before || is_nearly_due || !record.backups.empty() || options_.dry_run) return {};
  if (!rest.empty()) TRY(put_trash(store_, clock_, {}, std::move(rest), rest_bytes));
  return store_.storage().remove(record.key);
}

Result<void> IncarnationExpire::empty_trash(const Needs& needs, ExpireReport& report) {
  for (const auto& record : state_.trash) {
    const bool is_own = std::ranges::find(own_records_, record.key) != own_records_.end();
    if (is_own) continue;
    if (record.since + options_.grace > state_.now) {
      TRY(keep_waiting(record, needs, report));
      continue;
    }
    for (const auto& name : record.objects) {
      const auto object = describe_object(name);
      if (needs.anything(object)) continue;
      TRY(check_stop());
      report.deleted.add(object.size_bytes);
      if (!options_.dry_run) TRY(store_.storage().remove(object.key));
    }
    if (!options_.dry_run) TRY(store_.storage().remove(record.key));
  }
  return {};
}

Result<void> IncarnationExpire::collect(const RetentionPlan& plan, std::uint32_t index,
                                        ExpireReport& report) {
  const Needs needs(store_, state_, gone_, plan, index);
  TRY(put_unneeded_into_trash(needs, report));
  TRY(empty_trash(needs, report));
  if (options_.dry_run) return {};
  for (const auto& lease : state_.leases) {
    if (lease.until + options_.grace < state_.now) TRY(store_.storage().remove(lease.key));
  }
  return {};
}

Result<void> IncarnationExpire::finish() {
  for (const auto& record : own_records_) TRY(store_.storage().remove(record));
  return {};
}

}  // namespace pitr
