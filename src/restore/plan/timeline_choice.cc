#include "restore/plan/timeline_choice.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "repository/wal/wal_coverage.h"
#include "restore/plan/other_timelines.h"

namespace pitr {

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
    auto stored = TRY(describe_timeline(sources, timeline));
    choice.stored.push_back(stored);
  }
  return choice;
}

}  // namespace pitr
