#include "walreceiver/start_position.h"

#include <fmt/format.h>

#include <algorithm>

namespace pitr {

static const StoredWal* find(const std::vector<StoredWal>& stored, TimelineId timeline) {
  const auto found = std::ranges::find(stored, timeline, &StoredWal::timeline);
  return found == stored.end() ? nullptr : &*found;
}

static Error behind_repository(const ServerPosition& server, const StoredWal& stored) {
  const auto facts = fmt::format(
      "the server is at {} on timeline {}, but the repository holds WAL up to {}",
      to_string(server.flushed), to_string(stored.timeline), to_string(stored.durable_end));
  if (server.is_standby) {
    return Error::transient(facts + "; waiting until this standby has received it");
  }
  return Error::conflict(facts).with_hint(
      "the server has lost WAL (restored without a new timeline, or a failed disk), or this is "
      "another server; nothing will be acknowledged to it. If it is meant to replace the old one, "
      "restore it with pitr-restore, or configure it as a new cluster");
}

// The server's timelines, newest first.
static std::vector<TimelineId> newest_first(const TimelineHistory& history) {
  std::vector<TimelineId> timelines;
  for (const auto& ancestor : history.ancestors()) timelines.push_back(ancestor.timeline);
  timelines.push_back(history.timeline());
  std::ranges::reverse(timelines);
  return timelines;
}

Result<StartPosition> choose_start_position(SegmentSize segment_size,
                                            const TimelineHistory& history,
                                            const ServerPosition& server,
                                            const std::vector<StoredWal>& stored) {
  std::optional<TimelineId> child;  // the timeline that follows the one looked at
  // Where to go on, unless the timelines before, of which the slot still holds WAL, lack something.
  std::optional<StartPosition> found_later;
  for (const TimelineId timeline : newest_first(history)) {
    if (const StoredWal* wal = find(stored, timeline)) {
      const auto switch_point = history.switch_point(timeline);
      if (switch_point && wal->durable_end >= *switch_point) {
        return found_later.value_or(
            StartPosition{*child, segment_size.round_down(*switch_point), false});
      }
      if (!switch_point && wal->durable_end > server.flushed) {
        return behind_repository(server, *wal);
      }
      const StartPosition found{timeline, segment_size.start_of(wal->newest_segment), true};
      const bool begins_in_slot =
          server.slot_restart && *server.slot_restart < history.begin_of(timeline).value_or(Lsn());
      if (!begins_in_slot) return found;
      found_later = found;
    } else {
      found_later.reset();
    }
    child = timeline;
  }
  const Lsn from = segment_size.round_down(server.slot_restart.value_or(server.flushed));
  return StartPosition{history.timeline_at(from), from, false};
}

}  // namespace pitr
