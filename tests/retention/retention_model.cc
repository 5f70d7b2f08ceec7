#include "retention/retention_model.h"

#include <algorithm>
#include <map>

namespace pitr::test {

namespace {

// Where a timeline is left on the way to another; nullopt where it isn't on the way.
std::optional<std::uint64_t> left_at(const RetentionTimeline& timeline, std::uint32_t part) {
  if (timeline.timeline == part) return KeptWal::kOpenEnd;
  for (const auto& ancestor : timeline.ancestors) {
    if (ancestor.timeline == part) return ancestor.end_lsn;
  }
  return std::nullopt;
}

std::uint64_t entered_at(const RetentionTimeline& timeline, std::uint32_t part) {
  std::uint64_t entered = 0;
  for (const auto& ancestor : timeline.ancestors) {
    if (ancestor.timeline == part) return entered;
    entered = ancestor.end_lsn;
  }
  return entered;
}

}  // namespace

std::vector<RetentionBackup> RetentionModel::by_time() const {
  auto backups = input_.backups;
  std::ranges::stable_sort(backups, [](const auto& a, const auto& b) {
    if (a.stop_time != b.stop_time) return a.stop_time < b.stop_time;
    return a.id < b.id;
  });
  return backups;
}

std::set<std::string> RetentionModel::kept_by_count() const {
  const auto backups = by_time();
  std::set<std::string> kept;
  for (std::size_t i = 0; i < backups.size(); ++i) {
    if (i + policy_.keep_last >= backups.size()) kept.insert(backups[i].id);
  }
  const std::pair<PeriodUnit, unsigned> tiers[] = {{PeriodUnit::kDay, policy_.keep_daily},
                                                   {PeriodUnit::kWeek, policy_.keep_weekly},
                                                   {PeriodUnit::kMonth, policy_.keep_monthly},
                                                   {PeriodUnit::kYear, policy_.keep_yearly}};
  for (const auto& [unit, count] : tiers) {
    std::set<std::string> names;
    std::map<std::pair<std::string, std::uint32_t>, std::string> last;
    for (const auto& backup : backups) {
      const auto name = calendar_.name(unit, backup.stop_time);
      names.insert(name);
      last[{name, backup.incarnation}] = backup.id;
    }
    while (names.size() > count) names.erase(names.begin());
    for (const auto& [where, id] : last) {
      if (names.contains(where.first)) kept.insert(id);
    }
  }
  return kept;
}

bool RetentionModel::leads_to(const RetentionBackup& backup,
                              const RetentionTimeline& timeline) const {
  if (backup.incarnation != timeline.incarnation) return false;
  const auto left = left_at(timeline, backup.timeline);
  return left && backup.stop_lsn <= *left;
}

std::vector<RetentionTimeline> RetentionModel::in_use() const {
  std::uint32_t newest = 0;
  for (const auto& backup : input_.backups) newest = std::max(newest, backup.incarnation);
  std::vector<RetentionTimeline> found;
  for (auto timeline : input_.timelines) {
    const auto last_use = [&](const RetentionTimeline& one) {
      auto last = one.last_written;
      for (const auto& backup : input_.backups) {
        const bool is_on = backup.incarnation == one.incarnation && backup.timeline == one.timeline;
        if (is_on) last = std::max(last, backup.stop_time);
      }
      return last;
    };
    bool is_current = timeline.incarnation == newest;
    for (const auto& other : input_.timelines) {
      if (other.incarnation != newest || other.timeline == timeline.timeline) continue;
      const bool is_later = std::pair(last_use(other), other.timeline) >
                            std::pair(last_use(timeline), timeline.timeline);
      if (is_later) is_current = false;
    }
    if (is_current || last_use(timeline) >= input_.now - policy_.keep_within) {
      found.push_back(timeline);
    }
  }
  return found;
}

std::vector<RetentionBackup> RetentionModel::needed_on(const RetentionTimeline& timeline) const {
  std::vector<RetentionBackup> needed;
  std::optional<RetentionBackup> base;
  for (const auto& backup : by_time()) {
    if (!leads_to(backup, timeline)) continue;
    if (backup.stop_time > input_.now - policy_.keep_within) {
      needed.push_back(backup);
    } else {
      base = backup;
    }
  }
  if (base) needed.push_back(*base);
  return needed;
}

std::set<std::string> RetentionModel::kept() const {
  auto kept = kept_by_count();
  const auto backups = by_time();
  for (const auto& backup : backups) {
    if (backup.stop_time > input_.now - policy_.keep_within) kept.insert(backup.id);
    for (const auto& pin : backup.pins) {
      if (!pin.expires || *pin.expires > input_.now) kept.insert(backup.id);
    }
  }
  for (const auto& timeline : in_use()) {
    for (const auto& backup : needed_on(timeline)) kept.insert(backup.id);
  }
  while (true) {
    unsigned verified = 0;
    std::string newest_that_goes;
    for (const auto& backup : backups) {
      if (!backup.is_verified) continue;
      if (kept.contains(backup.id)) {
        ++verified;
      } else {
        newest_that_goes = backup.id;
      }
    }
    if (verified >= policy_.keep_verified || newest_that_goes.empty()) return kept;
    kept.insert(newest_that_goes);
  }
}

bool RetentionModel::keeps(const WalChunk& chunk, const std::set<std::string>& kept) const {
  const auto first = chunk.number * kChunk;
  const auto last = first + kChunk - 1;
  for (const auto& backup : input_.backups) {
    const bool is_its_own = kept.contains(backup.id) && backup.incarnation == chunk.incarnation &&
                            backup.timeline == chunk.timeline && backup.start_lsn <= last &&
                            backup.stop_lsn >= first;
    if (is_its_own) return true;
  }
  for (const auto& timeline : in_use()) {
    if (timeline.incarnation != chunk.incarnation) continue;
    const auto left = left_at(timeline, chunk.timeline);
    if (!left || first > *left || last < entered_at(timeline, chunk.timeline)) continue;
    const auto needed = needed_on(timeline);
    if (needed.empty()) {
      const bool leads_somewhere = std::ranges::any_of(
          input_.backups, [&](const auto& backup) { return leads_to(backup, timeline); });
      if (!leads_somewhere) return true;
    }
    for (const auto& backup : needed) {
      // Behind the backup's start, on its timeline or on a later part of the way.
      const bool is_later_part =
          backup.timeline != chunk.timeline &&
          entered_at(timeline, chunk.timeline) >= entered_at(timeline, backup.timeline) &&
          left_at(timeline, backup.timeline).value() <= entered_at(timeline, chunk.timeline);
      if (is_later_part || (backup.timeline == chunk.timeline && backup.start_lsn <= last)) {
        return true;
      }
    }
  }
  return false;
}

bool can_reach(const Moment& moment, const std::vector<RetentionBackup>& backups,
               const std::vector<RetentionTimeline>& timelines, const std::set<WalChunk>* wal) {
  const auto timeline = std::ranges::find_if(timelines, [&](const auto& one) {
    return one.incarnation == moment.incarnation && one.timeline == moment.timeline;
  });
  for (const auto& backup : backups) {
    if (backup.incarnation != moment.incarnation || backup.stop_lsn > moment.lsn) continue;
    const auto left = left_at(*timeline, backup.timeline);
    if (!left || backup.stop_lsn > *left) continue;
    if (!wal) return true;
    bool whole = true;
    for (auto number = backup.start_lsn / kChunk; number <= moment.lsn / kChunk && whole;
         ++number) {
      // A chunk in which the way changes timelines is read from the later one.
      const auto lsn = std::min(number * kChunk + kChunk - 1, moment.lsn);
      auto part = timeline->timeline;
      for (auto ancestor = timeline->ancestors.rbegin(); ancestor != timeline->ancestors.rend();
           ++ancestor) {
        if (lsn < ancestor->end_lsn) part = ancestor->timeline;
      }
      whole = wal->contains({moment.incarnation, part, number});
    }
    if (whole) return true;
  }
  return false;
}

}  // namespace pitr::test
