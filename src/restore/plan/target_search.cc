#include "restore/plan/target_search.h"

#include <fmt/format.h>

#include <algorithm>

namespace pitr {

namespace {

bool is_beyond(const TargetTime& target, Timestamp time) {
  return target.inclusive ? time > target.time : time >= target.time;
}

std::string describe(const wal::XactEnd& xact) {
  return fmt::format("the {} of transaction {} at {} ({})",
                     wal::is_commit(xact.kind) ? "commit" : "abort", xact.xid,
                     to_string(xact.start), to_string(xact.time));
}

constexpr auto kEverySegment = [](const wal::SegmentFacts&) { return true; };

}  // namespace

std::string TargetSearch::where_wal_ends() const {
  return fmt::format("WAL is stored without a hole up to {}: {}", to_string(wal_.end()),
                     wal_.ended_by());
}

// The state before the backup's stop cannot be had from it, whatever the server would say.
Result<std::optional<std::string>> TargetSearch::why_too_early(const TargetTime& target) {
  if (backup_.stop_time > target.time) {
    return std::optional(
        fmt::format("backup {} ended at {}", backup_.id.text(), to_string(backup_.stop_time)));
  }
  const auto inside = TRY(wal_.first_xact(
      backup_.start_lsn, backup_.stop_lsn,
      [&](const wal::SegmentFacts& facts) { return is_beyond(target, facts.max_xact_time); },
      [&](const wal::XactEnd& xact) { return is_beyond(target, xact.time); }));
  if (!inside) return std::optional<std::string>();
  return std::optional(fmt::format("backup {} contains {}", backup_.id.text(), describe(*inside)));
}

Result<Timestamp> TargetSearch::earliest_time() {
  Timestamp earliest = backup_.stop_time;
  const auto visit = [&](const wal::XactEnd& xact) -> bool {
    earliest = std::max(earliest, xact.time);
    return false;
  };
  TRY(wal_.first_xact(backup_.start_lsn, backup_.stop_lsn, kEverySegment, visit));
  return earliest;
}

Result<SearchResult> TargetSearch::operator()(const TargetTime& target) {
  const auto too_early = TRY(why_too_early(target));
  if (too_early) return SearchResult(NotFromHere{*too_early});
  const auto dropped = TRY(wal_.first_xact(
      backup_.stop_lsn, std::nullopt,
      [&](const wal::SegmentFacts& facts) { return is_beyond(target, facts.max_xact_time); },
      [&](const wal::XactEnd& xact) { return is_beyond(target, xact.time); }));
  if (!dropped) return behind_all_commits(target);
  FoundTarget found;
  found.record = dropped->start;
  found.inclusive = false;
  found.first_dropped = dropped;
  return SearchResult(std::move(found));
}

Result<std::optional<Timestamp>> TargetSearch::newest_xact_time() {
  std::optional<Timestamp> newest;
  const auto visit = [&](const wal::XactEnd& xact) -> bool {
    newest = std::max(newest.value_or(xact.time), xact.time);
    return false;
  };
  for (const auto& covered : wal_.segments()) {
    if (!covered.facts || !covered.facts->has_xacts()) continue;
    if (covered.facts->last_xact < backup_.start_lsn) continue;
    const auto latest = covered.facts->max_xact_time;
    newest = std::max(newest.value_or(latest), latest);
  }
  // Those without facts; first_xact() passes over all others.
  TRY(wal_.first_xact(
      backup_.start_lsn, std::nullopt, [](const wal::SegmentFacts&) { return false; }, visit));
  return newest;
}

// No stored commit is later than the time. That nothing is missing only the watermark can say.
Result<SearchResult> TargetSearch::behind_all_commits(const TargetTime& target) {
  const auto watermark = TRY(watermark_);
  const bool is_known = watermark && watermark->time >= target.time;
  if (is_known && TRY(wal_.reaches(watermark->lsn))) {
    return last_verified_record(
        fmt::format("no later commit is stored; the WAL is known to be complete until {}",
                    to_string(watermark->time)));
  }
  const auto newest = TRY(newest_xact_time());
  return why_not_complete(target, watermark, newest);
}

Error TargetSearch::why_not_complete(const TargetTime& target,
                                     const std::optional<Watermark>& watermark,
                                     std::optional<Timestamp> newest) const {
  const auto possible =
      newest && *newest > backup_.stop_time
          ? fmt::format(
                "--latest restores all that is there; the last time that can be reached "
                "exactly is {}",
                to_string(*newest - Microseconds(1)))
          : std::string("--latest restores all that is there");
  if (wal_.has_gap()) {
    return Error::invalid(
               fmt::format("WAL is missing before {}: {}", to_string(target), where_wal_ends()))
        .with_hint(
            fmt::format("up to the hole: --lsn {}{}", to_string(wal_.last_record()),
                        newest ? ", or a time up to " + to_string(*newest - Microseconds(1)) : ""));
  }
  if (!watermark || watermark->time < target.time) {
    return Error::invalid(
               fmt::format(
                   "{} lies behind everything that is known to be complete: the last "
                   "commit stored is of {}, and {}",
                   to_string(target), newest ? to_string(*newest) : "before the backup",
                   watermark ? "the WAL is known to be complete until " + to_string(watermark->time)
                             : "nothing says that no later one is missing"))
        .with_hint(watermark && (!newest || watermark->time > *newest)
                       ? fmt::format("{}, or {}", to_string(watermark->time), possible)
                       : possible);
  }
  return Error::invalid(fmt::format("WAL is missing before {}: there was more, up to {}, but {}",
                                    to_string(target), to_string(watermark->lsn), where_wal_ends()))
      .with_hint(possible);
}

// Nobody was told that an interrupted append is durable; but only a watermark could tell whether
// that is what this was.
void TargetSearch::warn_of_torn_end(FoundTarget& found) const {
  const auto& torn = wal_.torn();
  if (!torn) return;
  found.warnings.push_back(fmt::format(
      "the stored WAL ends in {} bytes that cannot be read, in {}: an interrupted write leaves "
      "that, but so does storage that lost what was written; commits after {} may be missing. If "
      "the server's pg_wal is still there, archive its last segment and plan again",
      torn->size_bytes, torn->object, to_string(wal_.end())));
}

Result<SearchResult> TargetSearch::last_verified_record(std::string note) {
  if (wal_.last_record().is_none() || wal_.end() < backup_.stop_lsn) {
    return Error::invalid(fmt::format("the WAL of backup {} is not complete: {}", backup_.id.text(),
                                      where_wal_ends()));
  }
  FoundTarget found;
  found.record = wal_.last_record();
  if (!note.empty()) found.notes.push_back(std::move(note));
  warn_of_torn_end(found);
  return SearchResult(std::move(found));
}

Result<SearchResult> TargetSearch::operator()(const TargetLsn& target) {
  if (target.lsn < backup_.stop_lsn) {
    return SearchResult(NotFromHere{fmt::format("backup {} is consistent from {} on",
                                                backup_.id.text(), to_string(backup_.stop_lsn))});
  }
  const auto record = TRY(wal_.record_from(target.lsn));
  if (record) {
    FoundTarget found;
    found.record = record->start;
    found.inclusive = target.inclusive;
    if (record->start != target.lsn) {
      found.notes.push_back(fmt::format("no record starts at {}; the next one does at {}",
                                        to_string(target.lsn), to_string(record->start)));
    }
    return SearchResult(std::move(found));
  }
  if (target.lsn > wal_.end() || wal_.has_gap()) {
    return Error::invalid(
               fmt::format("{} is not in the repository: {}", to_string(target), where_wal_ends()))
        .with_hint(fmt::format("the last position that can be reached is {}",
                               to_string(wal_.last_record())));
  }
  return last_verified_record(
      fmt::format("no record starts at {} or behind it yet: everything before it is restored",
                  to_string(target.lsn)));
}

Result<SearchResult> TargetSearch::operator()(const TargetXid& target) {
  std::vector<wal::XactEnd> matches;
  const auto collect = [&](const wal::XactEnd& xact) {
    if (xact.xid == target.xid) matches.push_back(xact);
  };
  const auto visited = wal_.visit_xacts(
      backup_.stop_lsn,
      [&](const wal::SegmentFacts& facts) { return facts.xids.may_hold(target.xid); }, SIZE_MAX,
      collect);
  // The first one counts; those behind it are only told of.
  if (!visited.has_value() && matches.empty()) return visited.error();
  if (matches.empty()) {
    return SearchResult(NotFromHere{
        fmt::format("no transaction {} ends behind backup {} (its stop is {}). {}", target.xid,
                    backup_.id.text(), to_string(backup_.stop_lsn), where_wal_ends())});
  }
  FoundTarget found;
  found.record = matches.front().start;
  found.inclusive = target.inclusive;
  if (!visited.has_value()) {
    found.warnings.push_back("not all WAL behind the target can be read: " +
                             visited.error().message());
  }
  for (std::size_t i = 1; i < matches.size(); ++i) {
    found.warnings.push_back(fmt::format(
        "transaction ids wrapped around: the first {} behind the backup is taken; there is also {}",
        target.xid, describe(matches[i])));
  }
  if (!wal::is_commit(matches.front().kind)) {
    found.warnings.push_back(fmt::format("transaction {} was rolled back", target.xid));
  }
  return SearchResult(std::move(found));
}

Result<SearchResult> TargetSearch::operator()(const TargetName& target) {
  const auto points = TRY(wal_.restore_points(target.name, backup_.stop_lsn));
  if (points.empty()) {
    return SearchResult(NotFromHere{fmt::format(
        "there is no restore point \"{}\" behind backup {} (its stop is {}). {}", target.name,
        backup_.id.text(), to_string(backup_.stop_lsn), where_wal_ends())});
  }
  FoundTarget found;
  found.record = points.front().start;
  if (points.size() > 1) {
    std::string others;
    for (std::size_t i = 1; i < points.size() && i <= 10; ++i) {
      others += fmt::format("; {} ({})", to_string(points[i].start), to_string(points[i].time));
    }
    found.warnings.push_back(
        fmt::format("{} restore points are called \"{}\": the first behind the backup, at {} ({}), "
                    "is taken; others (--lsn chooses them){}",
                    points.size(), target.name, to_string(points.front().start),
                    to_string(points.front().time), others));
  }
  return SearchResult(std::move(found));
}

Result<SearchResult> TargetSearch::operator()(const TargetImmediate&) {
  const auto record = TRY(wal_.record_before(backup_.stop_lsn));
  if (!record || wal_.end() < backup_.stop_lsn) {
    return SearchResult(NotFromHere{fmt::format("the WAL of backup {} is not complete: {}",
                                                backup_.id.text(), where_wal_ends())});
  }
  FoundTarget found;
  found.record = record->start;
  return SearchResult(std::move(found));
}

Result<SearchResult> TargetSearch::operator()(const TargetLatest&) {
  bool is_all_there = !wal_.has_gap();
  const auto watermark = TRY(watermark_);
  if (watermark && is_all_there) is_all_there = TRY(wal_.reaches(watermark->lsn));
  if (!is_all_there) {
    return Error::invalid("WAL is missing before the latest that is stored: " + where_wal_ends())
        .with_hint(fmt::format("--lsn {} restores what lies before the hole",
                               to_string(wal_.last_record())));
  }
  return last_verified_record("");
}

}  // namespace pitr
