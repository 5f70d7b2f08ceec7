#include "restore/plan/other_timelines.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "repository/wal/wal_coverage.h"
#include "restore/plan/covered_wal.h"

namespace pitr {

namespace {

// The newest transaction is looked for in this many segments before the end; of those at the end
// that have no facts, so many are decoded.
constexpr std::uint64_t kSegmentsBack = 256;
constexpr std::uint64_t kMostDecoded = 8;
// That a timeline went on for itself shows in its first segments with transactions.
constexpr std::size_t kFirstSegments = 8;

// The latest end of a transaction in one segment, from `begin` on. What the segment before hands
// over may be another timeline's, and isn't needed.
Result<std::optional<Timestamp>> latest_in(const PlanSources& sources, SegmentId segment,
                                           Lsn begin) {
  std::optional<Timestamp> latest;
  wal::DecoderOptions options;
  options.system_identifier = sources.archive.store().id().system_identifier;
  options.segment_size = sources.archive.segment_size();
  options.timeline = segment.timeline;
  const auto reader = [&](std::uint64_t number) -> Result<Bytes> {
    auto available = TRY(sources.archive.read_up_to_damage({segment.timeline, number}));
    if (available.bytes.empty()) return Error::not_found("nothing is stored of the segment");
    return std::move(available.bytes);
  };
  wal::ScanSink sink;
  sink.xact_end = [&](const wal::XactEnd& xact) -> Result<void> {
    if (xact.start >= begin) latest = std::max(latest.value_or(xact.time), xact.time);
    return {};
  };
  auto scanned =
      wal::scan_segments(options, segment.number, segment.number, reader, std::move(sink));
  if (!scanned.has_value() && scanned.error().kind() != ErrorKind::kNotFound) {
    return std::move(scanned).error();
  }
  return latest;
}

// Of what the timeline itself has: its first segment begins with its parent's WAL.
Result<std::optional<Timestamp>> newest_xact(const PlanSources& sources, TimelineId timeline,
                                             Lsn begin) {
  const auto newest = TRY(sources.archive.newest_segment(timeline));
  if (!newest) return std::optional<Timestamp>();
  const auto last = newest->number;
  const auto first = std::max(sources.archive.segment_size().number_of(begin),
                              last > kSegmentsBack ? last - kSegmentsBack : 0);
  std::optional<Timestamp> latest;
  std::set<std::uint64_t> to_decode;
  auto without_facts = first;
  const auto facts = TRY(sources.facts.range(timeline, first, last));
  for (const auto& one : facts) {
    without_facts = one.segment.number + 1;
    if (!one.has_xacts() || one.last_xact < begin) continue;
    if (one.first_xact < begin) to_decode.insert(one.segment.number);
    if (one.first_xact < begin) continue;
    latest = std::max(latest.value_or(one.max_xact_time), one.max_xact_time);
  }
  without_facts = std::max(without_facts, last >= kMostDecoded ? last - kMostDecoded + 1 : 0);
  for (auto number = without_facts; number <= last; ++number) to_decode.insert(number);
  for (const auto number : to_decode) {
    const auto found = TRY(latest_in(sources, {timeline, number}, begin));
    if (found) latest = std::max(latest.value_or(*found), *found);
  }
  return latest;
}

// Whether somebody who asks for the target may mean this transaction.
bool may_be_meant(const RestoreTarget& target, const wal::XactEnd& xact) {
  if (const auto* time = std::get_if<TargetTime>(&target)) {
    return time->inclusive ? xact.time <= time->time : xact.time < time->time;
  }
  if (const auto* lsn = std::get_if<TargetLsn>(&target)) return xact.start <= lsn->lsn;
  if (const auto* xid = std::get_if<TargetXid>(&target)) return xact.xid == xid->xid;
  return std::holds_alternative<TargetLatest>(target);
}

bool may_be_meant(const RestoreTarget& target, const wal::SegmentFacts& facts) {
  if (const auto* time = std::get_if<TargetTime>(&target)) {
    return facts.min_xact_time <= time->time;
  }
  const auto* xid = std::get_if<TargetXid>(&target);
  return !xid || facts.xids.may_hold(xid->xid);
}

EnoughWal first_segments_with_xacts() {
  return [count = std::size_t{0}, seen = std::size_t{0}](const WalCoverage& coverage) mutable {
    for (; seen < coverage.segments.size(); ++seen) {
      const auto& facts = coverage.segments[seen].facts;
      if (facts && facts->has_xacts()) ++count;
    }
    return count >= kFirstSegments;
  };
}

// From where the timeline has WAL of its own; where that was deleted, from its first backup on.
std::vector<Lsn> own_begins(const PlanSources& sources, const TimelineHistory& followed,
                            const TimelineHistory& other) {
  const auto left = followed.switch_point(other.timeline());
  std::vector<Lsn> begins = {left ? *left : other.begin_of(other.timeline()).value_or(Lsn())};
  for (const auto& backup : sources.backups) {
    const bool is_own = backup.timeline == other.timeline() && backup.start_lsn > begins.front();
    if (is_own) begins.push_back(backup.start_lsn);
  }
  std::ranges::sort(begins);
  return begins;
}

}  // namespace

Result<StoredTimeline> describe_timeline(const PlanSources& sources, TimelineId timeline) {
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
  const auto newest = newest_xact(sources, timeline, stored.begin);
  if (newest.has_value()) {
    stored.newest_xact = *newest;
  } else if (newest.error().kind() != ErrorKind::kCorrupt) {
    return newest.error();
  }
  return stored;
}

Result<std::optional<wal::XactEnd>> first_left_behind(const PlanSources& sources,
                                                      const TimelineHistory& followed,
                                                      TimelineId other,
                                                      const RestoreTarget& target) {
  std::optional<wal::XactEnd> first;
  const bool names_one =
      std::holds_alternative<TargetName>(target) || std::holds_alternative<TargetImmediate>(target);
  if (names_one) return first;
  const auto history = TRY(stored_history(sources.archive, other));
  // A transaction's id may lie anywhere.
  const bool takes_all = std::holds_alternative<TargetXid>(target);
  for (const auto begin : own_begins(sources, followed, history)) {
    auto wal = TRY(CoveredWal::open(
        sources.archive, sources.facts, history, begin,
        takes_all ? EnoughWal(CoveredWal::goes_on_to_the_end) : first_segments_with_xacts()));
    if (wal.segments().empty()) continue;
    const auto in_segment = [&](const wal::SegmentFacts& facts) {
      return may_be_meant(target, facts);
    };
    return wal.first_xact(begin, std::nullopt, in_segment,
                          [&](const wal::XactEnd& xact) { return may_be_meant(target, xact); });
  }
  return first;
}

static std::string what_is_left_behind(const RestorePlan& plan, const StoredTimeline& other,
                                       const PlanWords& words) {
  const auto& first = *other.left_behind;
  const auto id = to_string(other.timeline);
  auto text = fmt::format("timeline {} has transactions of its own, ", id);
  if (std::holds_alternative<TargetXid>(plan.target)) {
    return text + fmt::format(
                      "and one of them is {} too, of {}: if you mean that one, add "
                      "--timeline {}",
                      first.xid, words.time(first.time), id);
  }
  const auto last = std::max(other.newest_xact.value_or(first.time), first.time);
  return text + fmt::format(
                    "from {} to {}, which are not part of timeline {}: if you want "
                    "them, add --timeline {}",
                    words.time(first.time), words.time(last), to_string(plan.timeline()), id);
}

// The plan keeps a transaction that was made on its own side of the branch, later than all of the
// other side: by then the cluster had left that. After a failover it would be said for ever.
static bool was_over_by_then(const RestorePlan& plan, const StoredTimeline& other) {
  if (std::holds_alternative<TargetXid>(plan.target)) return false;  // no time tells which is meant
  if (!plan.last_kept || !other.newest_xact) return false;
  const auto branch = plan.history.switch_point(other.timeline).value_or(other.begin);
  return plan.last_kept->start >= branch && plan.last_kept->time > *other.newest_xact;
}

void tell_what_is_left_behind(const PlanSources& sources, const PlanWords& words,
                              RestorePlan& plan) {
  for (auto& other : plan.timelines) {
    if (other.timeline == plan.timeline()) continue;
    auto first = first_left_behind(sources, plan.history, other.timeline, plan.target);
    if (!first.has_value()) {
      // Only advice: what cannot be read on a timeline that isn't followed does no harm.
      plan.notes.push_back(
          fmt::format("whether timeline {} has transactions of its own is not "
                      "known: {}",
                      to_string(other.timeline), first.error().message()));
      continue;
    }
    other.left_behind = *first;
    if (!other.left_behind) continue;
    const bool is_a_note = plan.timeline_was_given || was_over_by_then(plan, other);
    auto& told = is_a_note ? plan.notes : plan.warnings;
    told.push_back(what_is_left_behind(plan, other, words));
  }
}

}  // namespace pitr
