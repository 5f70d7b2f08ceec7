// The steps of IncarnationVerify that verify packs and WAL in turn.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "repository/verify/incarnation_verify.h"

namespace pitr {

std::string IncarnationVerify::unit_of(const ObjectKey& key) const {
  const auto& names = store_.names();
  const auto& name = key.text();
  if (name.starts_with(names.pack_prefix())) return name.substr(names.prefix().size());
  const auto segment = names.segment_of(key);
  if (!segment || names.segment(*segment) != key) return "";
  const auto log = segment->number / store_.segment_size().segments_per_log();
  auto unit = names.wal_log_prefix(segment->timeline, log).substr(names.prefix().size());
  unit.pop_back();
  return unit;
}

// What is stored, by units. One that was never checked waits since its first object came: a log
// that grows all the time gets its turn, too.
std::map<std::string, CycleUnit> IncarnationVerify::stored_units(Timestamp began) const {
  std::map<std::string, CycleUnit> units;
  for (const auto& object : stored_.objects) {
    const auto name = unit_of(object.info.key);
    if (name.empty()) continue;
    const auto there = std::max(object.info.modified, began);
    auto& unit = units.try_emplace(name, CycleUnit{name, 0, there}).first->second;
    unit.size_bytes += object.info.size_bytes;
    const auto checked = state_.checked.find(name);
    const bool is_known = checked != state_.checked.end();
    unit.since = is_known ? checked->second.time : std::min(unit.since, there);
  }
  return units;
}

// Those whose turn it is. What is known to be damaged is read in every run besides, so that it is
// told until it is mended or gone.
std::set<std::string> IncarnationVerify::units_of_this_run(
    const std::map<std::string, CycleUnit>& units, Microseconds elapsed, Timestamp now) const {
  std::set<std::string> due;
  std::vector<CycleUnit> others;
  for (const auto& [name, unit] : units) {
    const auto checked = state_.checked.find(name);
    const bool is_damaged = checked != state_.checked.end() && !checked->second.is_right;
    if (is_damaged) {
      due.insert(name);
    } else {
      others.push_back(unit);
    }
  }
  for (const auto i : units_due(others, *options_.cycle, elapsed, now)) due.insert(others[i].name);
  return due;
}

// Leaves out the packs and segments whose turn it isn't.
Result<void> IncarnationVerify::choose_units(Timestamp now) {
  if (options_.depth != VerifyDepth::kFull || options_.backup) return {};
  state_ = TRY(read_cycle_state(store_));
  const auto began = state_.began.value_or(now);
  const auto units = stored_units(began);
  std::erase_if(state_.checked, [&](const auto& one) { return !units.contains(one.first); });
  if (!options_.cycle) return {};
  // As if it ran once a day, until it has run twice.
  const auto elapsed = state_.last_run ? now - *state_.last_run : std::chrono::days(1);
  state_.began = began;
  state_.last_run = now;
  const auto due = units_of_this_run(units, elapsed, now);
  std::erase_if(objects_, [&](const StoredObject* object) {
    const auto unit = unit_of(object->info.key);
    return !unit.empty() && !due.contains(unit);
  });
  std::erase_if(runs_, [&](const std::vector<SegmentId>& run) {
    return !due.contains(unit_of(store_.names().segment(run.front())));
  });
  return {};
}

Timestamp IncarnationVerify::newest_of(const std::vector<ObjectKey>& keys) const {
  auto newest = Timestamp::from_unix_us(0);
  for (const auto& key : keys) {
    if (const auto* object = stored_.find(key)) newest = std::max(newest, object->info.modified);
  }
  return newest;
}

// A log counts with its last run of segments: they are checked in order of their names.
void IncarnationVerify::note_verified_units(std::size_t from, std::size_t to) {
  bool is_new = false;
  for (auto task = from; task < to; ++task) {
    std::vector<ObjectKey> keys;
    if (task < objects_.size()) {
      keys.push_back(objects_[task]->info.key);
    } else {
      const auto run = task - objects_.size();
      const auto unit = unit_of(store_.names().segment(runs_[run].front()));
      const bool is_last = run + 1 == runs_.size() ||
                           unit_of(store_.names().segment(runs_[run + 1].front())) != unit;
      if (!is_last) continue;
      for (const auto& other : runs_) {
        if (unit_of(store_.names().segment(other.front())) != unit) continue;
        for (const auto& segment : other) keys.push_back(store_.names().segment(segment));
      }
    }
    const auto unit = unit_of(keys.front());
    // What vanished wasn't read; who needs it is told of it.
    std::erase_if(keys, [&](const ObjectKey& key) { return findings_.has_vanished(key); });
    if (unit.empty() || keys.empty()) continue;
    const auto is_damaged = [&](const ObjectKey& key) { return findings_.is_damaged(key); };
    const auto is_open = [&](const ObjectKey& key) { return findings_.has(key); };
    const bool is_right = std::ranges::none_of(keys, is_open);
    if (!is_right && std::ranges::none_of(keys, is_damaged)) continue;  // not checked
    state_.checked[unit] = {now_, is_right, newest_of(keys)};
    is_new = true;
  }
  // What can't be stored is verified again, and is told in the end.
  if (is_new && options_.cycle && options_.record) (void)store_state().has_value();
}

Result<void> IncarnationVerify::store_state() {
  if (!state_.began) state_.began = now_;
  if (!state_.last_run) state_.last_run = now_;
  return put_cycle_state(store_, state_);
}

// What came into a log after it was read waits for the log's next turn. Both times are the store's:
// its clock may differ from this host's.
bool IncarnationVerify::was_verified_in_time(const ObjectKey& key) const {
  const auto unit = unit_of(key);
  if (unit.empty()) return true;
  const auto checked = state_.checked.find(unit);
  if (checked == state_.checked.end() || !checked->second.is_right) return false;
  const auto* object = stored_.find(key);
  return object && object->info.modified <= checked->second.newest &&
         checked->second.time + options_.cycle->period >= now_;
}

}  // namespace pitr
