#include "restore/plan/timeline_choice.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "repository/wal/wal_coverage.h"
#include "restore/plan/covered_wal.h"

namespace pitr {

namespace {

// The newest transaction is looked for in this many segments before the end.
constexpr std::uint64_t kSegmentsBack = 256;
// That the parent goes on shows in its first segments behind the branch.
constexpr std::size_t kSegmentsOfParent = 8;

Result<std::optional<Timestamp>> newest_xact(const PlanSources& sources, TimelineId timeline) {
  const auto newest = TRY(sources.archive.newest_segment(timeline));
  if (!newest) return std::optional<Timestamp>();
  const auto first = newest->number > kSegmentsBack ? newest->number - kSegmentsBack : 0;
  const auto facts = TRY(sources.facts.range(timeline, first, newest->number));
  std::optional<Timestamp> latest;
  for (const auto& one : facts) {
    if (one.has_xacts()) latest = std::max(latest.value_or(one.max_xact_time), one.max_xact_time);
  }
  return latest;
}

Result<StoredTimeline> describe(const PlanSources& sources, TimelineId timeline) {
  StoredTimeline stored;
  stored.timeline = timeline;
  auto history = stored_history(sources.archive, timeline);
  if (history.has_value()) {
    const auto& ancestors = history->ancestors();
    if (!ancestors.empty()) stored.parent = ancestors.back().timeline;
    stored.begin = history->begin_of(timeline).value_or(Lsn());
  } else if (history.error().kind() != ErrorKind::kNotFound &&
             history.error().kind() != ErrorKind::kCorrupt) {
    return std::move(history).error();
  }
  // Only told of: what is damaged there counts where it's needed.
  const auto newest = newest_xact(sources, timeline);
  if (newest.has_value()) {
    stored.newest_xact = *newest;
  } else if (newest.error().kind() != ErrorKind::kCorrupt) {
    return newest.error();
  }
  return stored;
}

}  // namespace

Result<TimelineChoice> choose_timeline(const PlanSources& sources,
                                       std::optional<TimelineId> wanted) {
  const auto timelines = TRY(sources.archive.timelines());
  if (timelines.empty()) {
    return Error::not_found("the repository holds no WAL of this cluster")
        .with_hint("start pitr-agent; it streams WAL from then on");
  }
  const TimelineId chosen = wanted.value_or(timelines.back());
  if (std::ranges::find(timelines, chosen) == timelines.end()) {
    std::vector<std::uint32_t> ids;
    for (const auto timeline : timelines) ids.push_back(timeline.value());
    return Error::not_found(fmt::format("timeline {} is not in the repository", to_string(chosen)))
        .with_hint(fmt::format("stored are: {}", fmt::join(ids, ", ")));
  }
  auto history = stored_history(sources.archive, chosen);
  if (!history.has_value() && history.error().kind() == ErrorKind::kNotFound) {
    return Error::not_found(
               fmt::format("{} is not in the repository, so nobody can tell where timeline {} "
                           "began",
                           history_file_name(chosen), to_string(chosen)))
        .with_hint("copy it from a server's pg_wal with pitr-archive, or choose another timeline");
  }
  TimelineChoice choice{TRY(std::move(history)), {}};
  for (const auto timeline : timelines) {
    auto stored = TRY(describe(sources, timeline));
    choice.stored.push_back(stored);
  }
  return choice;
}

Result<std::optional<Timestamp>> parent_goes_on_until(const PlanSources& sources,
                                                      const TimelineHistory& history,
                                                      Timestamp time) {
  std::optional<Timestamp> latest;
  if (history.ancestors().empty()) return latest;
  const auto& parent = history.ancestors().back();
  const auto parent_history = TRY(stored_history(sources.archive, parent.timeline));
  auto wal =
      TRY(CoveredWal::open(sources.archive, sources.facts, parent_history, parent.switch_point));
  TRY(wal.visit_xacts(
      parent.switch_point,
      [&](const wal::SegmentFacts& facts) { return facts.min_xact_time <= time; },
      kSegmentsOfParent,
      [&](const wal::XactEnd& xact) {
        if (xact.time <= time) latest = std::max(latest.value_or(xact.time), xact.time);
      }));
  return latest;
}

}  // namespace pitr
