#include "retention/window.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <tuple>

namespace pitr {

namespace {

using TimelineKey = std::pair<std::uint32_t, std::uint32_t>;  // incarnation, timeline

// A backup that lies on the way to a timeline, and on which of its parts.
struct OnTheWay {
  std::size_t backup = 0;
  std::size_t part = 0;
};

// The way to a timeline: its ancestors up to where it leaves them, and itself without an end.
std::vector<RetentionTimeline::Ancestor> way_to(const RetentionTimeline& timeline) {
  auto way = timeline.ancestors;
  way.push_back({timeline.timeline, KeptWal::kOpenEnd});
  return way;
}

class WindowChoice {
 public:
  WindowChoice(const RetentionInput& input, const RetentionPolicy& policy,
               const OrderedBackups& order, const TimeZone& zone, RetentionPlan& plan)
      : input_(input), policy_(policy), order_(order), zone_(zone), plan_(plan) {}

  void keep_future();
  void keep_inside();
  void keep_timelines();

 private:
  std::vector<RetentionTimeline> timelines_in_use() const;
  std::vector<OnTheWay> backups_on(const RetentionTimeline& timeline) const;
  void keep_timeline(const RetentionTimeline& timeline);
  void keep_base(const KeptWindow& window, const std::vector<OnTheWay>& backups);
  bool is_inside(std::size_t backup) const {
    return input_.backups[backup].stop_time > plan_.window_start;
  }

  const RetentionInput& input_;
  const RetentionPolicy& policy_;
  const OrderedBackups& order_;
  const TimeZone& zone_;
  RetentionPlan& plan_;
};

void WindowChoice::keep_future() {
  for (const auto i : order_.future) {
    const auto& backup = input_.backups[i];
    const auto ended = zone_.to_local_text(backup.stop_time);
    plan_.decisions[i].kept_by.push_back({RetentionTier::kFuture, "ended " + ended, std::nullopt});
    plan_.warnings.push_back(fmt::format(
        "backup {} ended on {}, which is still to come: the clock of its server or of this host is "
        "wrong. It is kept with all WAL since, and takes no other backup's place",
        backup.id, ended));
  }
}

void WindowChoice::keep_inside() {
  for (const auto i : order_.counted) {
    const auto& backup = input_.backups[i];
    if (is_inside(i)) {
      plan_.decisions[i].kept_by.push_back(
          {RetentionTier::kWithin, {}, backup.stop_time + policy_.keep_within});
    } else {
      plan_.decisions[i].not_kept_by.push_back(
          fmt::format("window: ended before {}", zone_.to_local_text(plan_.window_start)));
    }
  }
}

// Those with WAL or backups in the window, and the one on which the cluster is now, however long
// nothing happened on it: its state is still the database's.
std::vector<RetentionTimeline> WindowChoice::timelines_in_use() const {
  std::map<TimelineKey, RetentionTimeline> known;
  for (const auto& timeline : input_.timelines) {
    known[{timeline.incarnation, timeline.timeline}] = timeline;
  }
  std::uint32_t newest_incarnation = 0;
  for (const auto& backup : input_.backups) {
    auto& timeline = known[{backup.incarnation, backup.timeline}];
    timeline.incarnation = backup.incarnation;
    timeline.timeline = backup.timeline;
    timeline.last_written = std::max(timeline.last_written, backup.stop_time);
    newest_incarnation = std::max(newest_incarnation, backup.incarnation);
  }
  const RetentionTimeline* current = nullptr;
  for (const auto& [key, timeline] : known) {
    if (timeline.incarnation != newest_incarnation) continue;
    if (!current || timeline.last_written >= current->last_written) current = &timeline;
  }
  std::vector<RetentionTimeline> in_use;
  for (const auto& [key, timeline] : known) {
    const bool was_used = timeline.last_written >= plan_.window_start;
    if (was_used || &timeline == current) in_use.push_back(timeline);
  }
  return in_use;
}

// In order of time; those of the future last.
std::vector<OnTheWay> WindowChoice::backups_on(const RetentionTimeline& timeline) const {
  const auto way = way_to(timeline);
  auto all = order_.counted;
  all.insert(all.end(), order_.future.begin(), order_.future.end());
  std::vector<OnTheWay> found;
  for (const auto i : all) {
    const auto& backup = input_.backups[i];
    if (backup.incarnation != timeline.incarnation) continue;
    for (std::size_t part = 0; part < way.size(); ++part) {
      if (way[part].timeline != backup.timeline || backup.stop_lsn > way[part].end_lsn) continue;
      found.push_back({i, part});
      break;
    }
  }
  return found;
}

void WindowChoice::keep_base(const KeptWindow& window, const std::vector<OnTheWay>& backups) {
  auto& reasons = plan_.decisions[*window.base].kept_by;
  // It is needed until the next one on the way has become old enough.
  std::optional<Timestamp> until;
  for (const auto& on_the_way : backups) {
    const auto& backup = input_.backups[on_the_way.backup];
    if (!is_inside(on_the_way.backup)) continue;
    const auto old_enough = backup.stop_time + policy_.keep_within;
    if (!until || old_enough < *until) until = old_enough;
  }
  reasons.push_back({RetentionTier::kBase, fmt::format("timeline {}", window.timeline), until});
}

void WindowChoice::keep_timeline(const RetentionTimeline& timeline) {
  KeptWindow window{timeline.incarnation, timeline.timeline, std::nullopt, false};
  const auto way = way_to(timeline);
  const auto backups = backups_on(timeline);
  window.has_no_backup = backups.empty();
  // Positions, since clocks may have been stepped: from the first one that is needed.
  std::uint64_t from_lsn = window.has_no_backup ? 0 : KeptWal::kOpenEnd;
  std::size_t first_part = 0;
  const auto need = [&](const OnTheWay& on_the_way) {
    const auto start = input_.backups[on_the_way.backup].start_lsn;
    if (start >= from_lsn) return;
    from_lsn = start;
    first_part = on_the_way.part;
  };
  const OnTheWay* base = nullptr;
  for (const auto& on_the_way : backups) {
    if (is_inside(on_the_way.backup)) {
      need(on_the_way);
    } else {
      base = &on_the_way;
    }
  }
  if (base) {
    need(*base);
    window.base = base->backup;
    keep_base(window, backups);
  }
  for (auto part = first_part; part < way.size(); ++part) {
    const auto begin = part == first_part ? from_lsn : way[part - 1].end_lsn;
    plan_.wal.push_back({timeline.incarnation, way[part].timeline, begin, way[part].end_lsn});
  }
  plan_.windows.push_back(window);
}

void WindowChoice::keep_timelines() {
  for (const auto& timeline : timelines_in_use()) keep_timeline(timeline);
}

}  // namespace

void keep_window(const RetentionInput& input, const RetentionPolicy& policy,
                 const OrderedBackups& order, const TimeZone& zone, RetentionPlan& plan) {
  WindowChoice choice(input, policy, order, zone, plan);
  choice.keep_future();
  choice.keep_inside();
  choice.keep_timelines();
}

void keep_own_wal(const RetentionInput& input, RetentionPlan& plan) {
  for (const auto& decision : plan.decisions) {
    if (!decision.keep()) continue;
    const auto& backup = input.backups[decision.backup];
    plan.wal.push_back({backup.incarnation, backup.timeline, backup.start_lsn, backup.stop_lsn});
  }
}

void join_wal(std::vector<KeptWal>& wal) {
  std::ranges::sort(wal, {}, [](const KeptWal& range) {
    return std::tuple(range.incarnation, range.timeline, range.from_lsn);
  });
  std::vector<KeptWal> joined;
  for (const auto& range : wal) {
    const bool continues = !joined.empty() && joined.back().incarnation == range.incarnation &&
                           joined.back().timeline == range.timeline &&
                           range.from_lsn <= joined.back().to_lsn;
    if (continues) {
      joined.back().to_lsn = std::max(joined.back().to_lsn, range.to_lsn);
    } else {
      joined.push_back(range);
    }
  }
  wal = std::move(joined);
}

}  // namespace pitr
