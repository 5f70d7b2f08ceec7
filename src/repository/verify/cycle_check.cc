// The steps of IncarnationVerify that verify packs and WAL in turn.
#include <fmt/format.h>

#include <algorithm>
#include <map>

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

// Leaves out the packs and segments whose turn it isn't.
Result<void> IncarnationVerify::choose_units(Timestamp now) {
  if (options_.depth != VerifyDepth::kFull || options_.backup) return {};
  state_ = TRY(read_cycle_state(store_));
  std::map<std::string, CycleUnit> units;
  const auto began = state_.began.value_or(now);
  for (const auto& object : stored_.objects) {
    const auto name = unit_of(object.info.key);
    if (name.empty()) continue;
    auto& unit = units[name];
    unit.name = name;
    unit.size_bytes += object.info.size_bytes;
    const auto checked = state_.checked.find(name);
    const auto there = std::max(object.info.modified, began);
    unit.since =
        checked != state_.checked.end() ? checked->second.time : std::max(unit.since, there);
  }
  std::erase_if(state_.checked, [&](const auto& one) { return !units.contains(one.first); });
  if (!options_.cycle) return {};
  // As if it ran once a day, until it has run twice.
  const auto elapsed = state_.last_run ? now - *state_.last_run : std::chrono::days(1);
  state_.began = began;
  state_.last_run = now;
  std::vector<CycleUnit> all;
  for (const auto& [name, unit] : units) all.push_back(unit);
  std::set<std::string> due;
  for (const auto i : units_due(all, *options_.cycle, elapsed, now)) due.insert(all[i].name);
  std::erase_if(objects_, [&](const StoredObject* object) {
    const auto unit = unit_of(object->info.key);
    return !unit.empty() && !due.contains(unit);
  });
  std::erase_if(runs_, [&](const std::vector<SegmentId>& run) {
    return !due.contains(unit_of(store_.names().segment(run.front())));
  });
  return {};
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
    if (unit.empty()) continue;
    const auto is_damaged = [&](const ObjectKey& key) { return findings_.is_damaged(key); };
    const auto is_open = [&](const ObjectKey& key) { return findings_.has(key); };
    const bool is_right = std::ranges::none_of(keys, is_open);
    if (!is_right && std::ranges::none_of(keys, is_damaged)) continue;  // not checked
    state_.checked[unit] = {now_, is_right};
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

bool IncarnationVerify::was_verified_in_time(const ObjectKey& key) const {
  const auto unit = unit_of(key);
  if (unit.empty()) return true;
  const auto checked = state_.checked.find(unit);
  return checked != state_.checked.end() && checked->second.is_right &&
         checked->second.time + options_.cycle->period >= now_;
}

}  // namespace pitr
