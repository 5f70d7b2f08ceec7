#include "restore/plan/target_search.h"

#include <fmt/format.h>

#include <algorithm>

namespace pitr {

namespace {

bool is_beyond(const TargetTime& target, Timestamp time) {
  return target.inclusive ? time > target.time : time >= target.time;
}

// A watermark comes every five seconds from an agent that streams.
constexpr Microseconds kSoon{60'000'000};
constexpr Microseconds kOldest{600'000'000};  // of a watermark that may still move

constexpr std::size_t kNamesShown = 10;

constexpr auto kEverySegment = [](const wal::SegmentFacts&) { return true; };

}  // namespace

std::string TargetSearch::describe(const wal::XactEnd& xact) const {
  return fmt::format("the {} of transaction {} at {} ({})",
                     wal::is_commit(xact.kind) ? "commit" : "abort", xact.xid,
                     to_string(xact.start), words_.time(xact.time));
}

std::string TargetSearch::where_wal_ends() const {
  return fmt::format("WAL is stored without a hole up to {}: {}", to_string(wal_.end()),
                     wal_.ended_by());
}

// The state before the backup's stop cannot be had from it, whatever the server would say.
Result<std::optional<std::string>> TargetSearch::why_too_early(const TargetTime& target) {
  if (backup_.stop_time > target.time) {
    return std::optional(
        fmt::format("backup {} ended at {}", backup_.id.text(), words_.time(backup_.stop_time)));
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

Result<std::string> TargetSearch::newest_names() {
  auto points = TRY(wal_.restore_points(std::nullopt, backup_.stop_lsn));
  if (points.empty()) return std::string("no restore point is stored");
  const auto shown = std::min(points.size(), kNamesShown);
  std::string names;
  for (std::size_t i = 0; i < shown; ++i) {
    const auto& point = points[points.size() - 1 - i];
    names += fmt::format("{}\"{}\" ({})", i == 0 ? "" : ", ", point.name, words_.time(point.time));
  }
  return fmt::format("restore points that are stored, the newest first: {}{}", names,
                     shown < points.size() ? ", and older ones" : "");
}

Result<std::string> TargetSearch::in_reach(const RestoreTarget& target) {
  if (std::holds_alternative<TargetName>(target)) return newest_names();
  const auto timeline = to_string(wal_.timeline());
  if (std::holds_alternative<TargetLsn>(target)) {
    return fmt::format("the earliest position on timeline {} is {}", timeline,
                       to_string(backup_.stop_lsn));
  }
  if (!std::holds_alternative<TargetTime>(target)) return std::string();
  const auto earliest = TRY(earliest_time());
  return fmt::format("the earliest time that can be reached on timeline {} is {}", timeline,
                     words_.time(earliest));
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
  const bool is_reached = watermark && TRY(wal_.reaches(watermark->lsn));
  if (is_reached && watermark->time >= target.time) {
    return last_verified_record(
        fmt::format("no later commit is stored; the WAL is known to be complete until {}",
                    words_.time(watermark->time)));
  }
  const auto newest = TRY(newest_xact_time());
  return why_not_complete(target, watermark, is_reached, newest);
}

// A time is reached exactly where a later transaction is stored, or where the watermark says that
// there was none: so the last transaction's own time takes the watermark.
std::string TargetSearch::what_is_possible(const std::optional<Watermark>& watermark,
                                           std::optional<Timestamp> newest) const {
  const auto latest = words_.option("--latest");
  const bool is_usable = watermark && watermark->time >= newest.value_or(backup_.stop_time);
  if (is_usable && watermark->time >= backup_.stop_time) {
    return fmt::format("{} is the last time that can be reached exactly{}; {} restores the same",
                       words_.time(watermark->time),
                       newest ? ", with the last transaction, of " + words_.time(*newest) : "",
                       latest);
  }
  if (!newest || *newest <= backup_.stop_time) return latest + " restores all that is stored";
  return fmt::format(
      "{} restores all that is stored, with the last transaction, of {}; a time that "
      "is reached exactly has to be before that, and leaves this transaction out",
      latest, words_.time(*newest));
}

// Of the server's clock and this one nobody knows how they differ; a watermark that is old by any
// clock will not move.
bool TargetSearch::may_come_soon(Timestamp target,
                                 const std::optional<Watermark>& watermark) const {
  const auto near = [&](Timestamp other) {
    return target - other <= kSoon && other - target <= kSoon;
  };
  return near(now_) || (watermark && near(watermark->time) && now_ - watermark->time <= kOldest);
}

Error TargetSearch::not_known_yet(const TargetTime& target,
                                  const std::optional<Watermark>& watermark,
                                  std::optional<Timestamp> newest) const {
  const auto last = newest
                        ? fmt::format("the last transaction stored is of {}", words_.time(*newest))
                        : std::string("no transaction is stored since the backup began");
  const auto known = watermark
                         ? "the WAL is known to be complete until " + words_.time(watermark->time)
                         : std::string("nothing says that no later one is missing");
  const auto message =
      fmt::format("{} lies behind everything that is known to be complete: {}, and {}",
                  words_.target(target), last, known);
  const auto possible = what_is_possible(watermark, newest);
  if (!may_come_soon(target.time, watermark)) return Error::invalid(message).with_hint(possible);
  return Error::transient(message).with_hint(
      "try again in some seconds: while the agent streams (pitr status says whether it does), that "
      "moves on by itself. Or now: " +
      possible);
}

Error TargetSearch::why_not_complete(const TargetTime& target,
                                     const std::optional<Watermark>& watermark, bool is_reached,
                                     std::optional<Timestamp> newest) const {
  const auto wanted = words_.target(target);
  if (wal_.has_gap()) {
    const bool holds_a_time = newest && *newest > backup_.stop_time;
    return Error::invalid(fmt::format("WAL is missing before {}: {}", wanted, where_wal_ends()))
        .with_hint(fmt::format(
            "up to the hole: {}{}",
            words_.option(fmt::format("--lsn {}", to_string(wal_.last_record()))),
            holds_a_time ? ", with the last transaction there, of " + words_.time(*newest) +
                               "; or a time before that, which leaves this transaction out"
                         : ""));
  }
  if (!watermark || is_reached) return not_known_yet(target, watermark, newest);
  return Error::invalid(fmt::format("WAL is missing before {}: there was more, up to {}, but {}",
                                    wanted, to_string(watermark->lsn), where_wal_ends()))
      .with_hint(what_is_possible(std::nullopt, newest));
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
      others += fmt::format("; {} ({})", to_string(points[i].start), words_.time(points[i].time));
    }
    found.warnings.push_back(
        fmt::format("{} restore points are called \"{}\": the first behind the backup, at {} ({}), "
                    "is taken; others (--lsn chooses them){}",
                    points.size(), target.name, to_string(points.front().start),
                    words_.time(points.front().time), others));
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
        .with_hint(words_.option(fmt::format("--lsn {}", to_string(wal_.last_record()))) +
                   " restores what lies before the hole");
  }
  return last_verified_record("");
}

}  // namespace pitr
