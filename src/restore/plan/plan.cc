#include "restore/plan/plan.h"

#include <fmt/format.h>

#include <algorithm>

#include "common/readable.h"
#include "restore/plan/covered_wal.h"
#include "restore/plan/other_timelines.h"
#include "restore/plan/plan_words.h"
#include "restore/plan/target_search.h"
#include "restore/plan/timeline_choice.h"

namespace pitr {

namespace {

// Cut-off commits are looked for in so many segments that may hold one.
constexpr std::size_t kSegmentsForCutOffs = 64;
constexpr Microseconds kSuspiciousSkew{1'000'000};
// So many segments behind the first that holds something later are looked at, for what the plan
// tells of: commits that are cut off, and what is dropped.
constexpr std::uint64_t kSegmentsBehind = 64;
constexpr std::size_t kMostTimelinesTried = 8;

struct Candidate {
  BackupManifest backup;
  CoveredWal wal;
  FoundTarget found;
};

class Planner {
 public:
  Planner(const PlanSources& sources, const PlanRequest& request)
      : sources_(sources), request_(request), words_{request.zone, request.timeline} {}

  Result<RestorePlan> make();

 private:
  Result<TimelineChoice> choose();
  Result<std::vector<BackupManifest>> usable_backups(const TimelineHistory& history);
  Result<Candidate> find_candidate(const TimelineHistory& history,
                                   const std::vector<BackupManifest>& backups);
  Result<CoveredWal> cover(const TimelineHistory& history, const BackupManifest& backup);
  EnoughWal enough_for_target(const BackupManifest& backup) const;
  Result<SearchResult> search(const BackupManifest& backup, CoveredWal& wal,
                              const Result<std::optional<Watermark>>& watermark);
  Error out_of_reach(const TimelineHistory& history, const std::vector<BackupManifest>& backups,
                     const std::vector<std::string>& reasons);
  Result<void> set_positions(RestorePlan& plan, CoveredWal& wal);
  Result<void> set_transactions(RestorePlan& plan, CoveredWal& wal);
  Result<void> find_cut_offs(RestorePlan& plan, CoveredWal& wal);
  void add_remarks(RestorePlan& plan) const;

  const PlanSources& sources_;
  const PlanRequest& request_;
  const PlanWords words_;
  std::optional<Error> damage_;  // that kept a backup from reaching the target
};

// What only informs may be damaged, and is then told of.
template <typename T>
Result<std::optional<T>> or_warning(Result<T> result, std::vector<std::string>& warnings) {
  if (result.has_value()) return std::optional(std::move(result).value());
  if (result.error().kind() != ErrorKind::kCorrupt) return std::move(result).error();
  warnings.push_back("not all WAL behind the target can be read: " + result.error().message());
  return std::optional<T>();
}

Result<TimelineChoice> Planner::choose() {
  auto wanted = request_.timeline;
  if (!wanted && std::holds_alternative<TargetImmediate>(request_.target)) {
    // The backup's own timeline needs nothing but the backup's own WAL.
    const BackupManifest* newest = nullptr;
    for (const auto& backup : sources_.backups) {
      const bool fits = !request_.backup || backup.id == *request_.backup;
      if (fits && (!newest || backup.id > newest->id)) newest = &backup;
    }
    if (newest) wanted = newest->timeline;
  }
  return choose_timeline(sources_, wanted);
}

// Newest first.
Result<std::vector<BackupManifest>> Planner::usable_backups(const TimelineHistory& history) {
  if (sources_.backups.empty()) {
    return Error::not_found("there is no backup of this cluster")
        .with_hint("make one: pitr backup");
  }
  std::vector<BackupManifest> usable;
  bool is_known = false;
  for (const auto& backup : sources_.backups) {
    if (request_.backup && backup.id != *request_.backup) continue;
    is_known = true;
    if (history.contains(backup.timeline, backup.stop_lsn)) usable.push_back(backup);
  }
  if (request_.backup && !is_known) {
    return Error::not_found(fmt::format("there is no backup {}", request_.backup->text()))
        .with_hint("pitr list shows them");
  }
  if (usable.empty()) {
    return Error::invalid(fmt::format("{} on the way to timeline {}",
                                      request_.backup ? fmt::format("backup {} does not lie",
                                                                    request_.backup->text())
                                                      : std::string("no backup lies"),
                                      to_string(history.timeline())))
        .with_hint("choose another timeline with --timeline; pitr list shows where backups lie");
  }
  std::ranges::sort(usable, std::greater(), &BackupManifest::stop_lsn);
  return usable;
}

Result<CoveredWal> Planner::cover(const TimelineHistory& history, const BackupManifest& backup) {
  return CoveredWal::open(sources_.archive, sources_.facts, history, backup.start_lsn,
                          enough_for_target(backup));
}

// A segment behind the backup's stop that holds what ends the search is enough, with some more for
// what is told of it. Restore points, transaction ids and the end of WAL take everything.
EnoughWal Planner::enough_for_target(const BackupManifest& backup) const {
  const auto size = sources_.archive.segment_size();
  const auto stop = backup.stop_lsn;
  const auto* time = std::get_if<TargetTime>(&request_.target);
  const auto* lsn = std::get_if<TargetLsn>(&request_.target);
  const bool is_immediate = std::holds_alternative<TargetImmediate>(request_.target);
  if (!time && !lsn && !is_immediate) return CoveredWal::goes_on_to_the_end;
  const auto behind = size.number_of(lsn ? std::max(lsn->lsn, stop) : stop);
  const auto latest = time ? std::optional(time->time) : std::nullopt;
  return [behind, latest, last = std::uint64_t{0}](const WalCoverage& coverage) mutable {
    if (coverage.segments.empty()) return false;
    const auto& [segment, is_complete, facts] = coverage.segments.back();
    const bool ends_search = segment.number > behind && facts && facts->has_xacts() &&
                             (!latest || facts->max_xact_time > *latest);
    if (ends_search && last == 0) last = segment.number + kSegmentsBehind;
    return last > 0 && segment.number >= last;
  };
}

// Where damage keeps a target from being found, it's that which the operator has to know.
Result<SearchResult> Planner::search(const BackupManifest& backup, CoveredWal& wal,
                                     const Result<std::optional<Watermark>>& watermark) {
  TargetSearch search(backup, wal, watermark, words_, sources_.clock.now());
  auto result = std::visit(search, request_.target);
  if (result.has_value() || !wal.damage()) return result;
  if (result.error().kind() != ErrorKind::kInvalid) return result;
  return Error::corrupt(result.error().message()).with_hint(result.error().hint());
}

Result<Candidate> Planner::find_candidate(const TimelineHistory& history,
                                          const std::vector<BackupManifest>& backups) {
  const auto watermark = sources_.facts.watermark(history.timeline());
  if (!watermark.has_value() && watermark.error().kind() != ErrorKind::kCorrupt) {
    return watermark.error();
  }
  std::vector<std::string> reasons;
  for (const auto& backup : backups) {
    // What is plainly too late needs no look at WAL.
    const auto* time = std::get_if<TargetTime>(&request_.target);
    if (time && backup.stop_time > time->time) {
      reasons.push_back(
          fmt::format("backup {} ended at {}", backup.id.text(), words_.time(backup.stop_time)));
      continue;
    }
    auto wal = TRY(cover(history, backup));
    if (wal.damage()) damage_ = wal.damage();
    if (wal.end() < backup.stop_lsn) {
      reasons.push_back(fmt::format("the WAL of backup {} is not complete: {}", backup.id.text(),
                                    wal.ended_by()));
      continue;
    }
    auto result = TRY(search(backup, wal, watermark));
    if (auto* found = std::get_if<FoundTarget>(&result)) {
      return Candidate{backup, std::move(wal), std::move(*found)};
    }
    reasons.push_back(std::get<NotFromHere>(result).reason);
  }
  return out_of_reach(history, backups, reasons);
}

Error Planner::out_of_reach(const TimelineHistory& history,
                            const std::vector<BackupManifest>& backups,
                            const std::vector<std::string>& reasons) {
  const auto& oldest = backups.back();
  std::string hint;
  auto wal = cover(history, oldest);
  if (wal.has_value() && wal->end() >= oldest.stop_lsn) {
    TargetSearch search(oldest, *wal, std::optional<Watermark>(), words_, sources_.clock.now());
    hint = search.in_reach(request_.target).value_or("");
  }
  if (hint.empty()) hint = "pitr list shows the backups";
  auto kind = std::holds_alternative<TargetName>(request_.target) ||
                      std::holds_alternative<TargetXid>(request_.target)
                  ? ErrorKind::kNotFound
                  : ErrorKind::kInvalid;
  if (damage_) kind = ErrorKind::kCorrupt;  // what isn't found may lie behind it
  return Error(kind, fmt::format(
                         "{} cannot be reached from {}: {}", words_.target(request_.target),
                         backups.size() == 1 ? "the only backup that could be used" : "any backup",
                         reasons.empty() ? "there is none" : reasons.back()))
      .with_hint(std::move(hint));
}

Result<void> Planner::set_positions(RestorePlan& plan, CoveredWal& wal) {
  const auto record = TRY(wal.record_from(plan.target_lsn));
  if (!record || record->start != plan.target_lsn) {
    return Error::internal("the target's record was not found again at " +
                           to_string(plan.target_lsn));
  }
  plan.target_record_end = record->end;
  plan.end = record->replayed_end;
  if (!plan.inclusive) {
    const auto before = TRY(wal.record_before(plan.target_lsn));
    if (!before) return Error::internal("nothing lies before " + to_string(plan.target_lsn));
    plan.end = before->replayed_end;
  }
  if (plan.end < plan.backup.stop_lsn) {
    return Error::internal(fmt::format("recovery would end at {}, before the backup's stop {}",
                                       to_string(plan.end), to_string(plan.backup.stop_lsn)));
  }
  const auto last = plan.segment_size.number_of(plan.target_record_end - 1);
  for (const auto& covered : wal.segments()) {
    const auto [timeline, number] = covered.segment;
    if (number > last) break;
    if (plan.segments.empty() || plan.segments.back().timeline != timeline) {
      plan.segments.push_back({timeline, number, number});
    }
    plan.segments.back().last = number;
  }
  if (plan.segments.empty() || plan.segments.back().last != last) {
    return Error::internal("the plan's last segment is not covered");
  }
  return {};
}

Result<void> Planner::set_transactions(RestorePlan& plan, CoveredWal& wal) {
  const Lsn kept_below = plan.inclusive ? plan.target_lsn + 1 : plan.target_lsn;
  plan.last_kept = TRY(wal.last_commit_before(kept_below));
  if (!plan.first_dropped) {
    auto next = wal.first_xact(
        kept_below, std::nullopt, [](const wal::SegmentFacts&) { return true; },
        [](const wal::XactEnd&) { return true; });
    auto told = TRY(or_warning(std::move(next), plan.warnings));
    if (told) plan.first_dropped = std::move(*told);
  }
  if (!plan.first_dropped && !wal.is_bounded() && wal.has_gap()) plan.hole = wal.end();
  if (wal.damage()) {
    plan.warnings.push_back(
        fmt::format("WAL behind the target is damaged; nothing after {} can be "
                    "restored: {}",
                    to_string(wal.end()), wal.damage()->message()));
  }
  return {};
}

Result<void> Planner::find_cut_offs(RestorePlan& plan, CoveredWal& wal) {
  const auto* target = std::get_if<TargetTime>(&plan.target);
  if (!target || !plan.first_dropped) return {};
  const auto belongs = [&](Timestamp time) {
    return target->inclusive ? time <= target->time : time < target->time;
  };
  auto& cut_off = plan.cut_off;
  Timestamp latest = plan.first_dropped->time;
  auto visited = wal.visit_xacts(
      plan.target_lsn, [&](const wal::SegmentFacts& facts) { return belongs(facts.min_xact_time); },
      kSegmentsForCutOffs,
      [&](const wal::XactEnd& xact) {
        latest = std::max(latest, xact.time);
        if (!wal::is_commit(xact.kind) || !belongs(xact.time)) return;
        if (cut_off.commits.size() < CutOffCommits::kListed) cut_off.commits.push_back(xact);
        ++cut_off.count;
        cut_off.largest_skew = std::max(cut_off.largest_skew, latest - xact.time);
      });
  const bool saw_all = TRY(or_warning(std::move(visited), plan.warnings)).value_or(false);
  cut_off.is_lower_bound = !saw_all || wal.is_bounded() || wal.damage();
  if (cut_off.count == 0) return {};
  const auto text = fmt::format(
      "{}{} with times up to the target lie behind the first later one in the WAL and are not "
      "restored",
      cut_off.count, cut_off.count == 1 && saw_all ? " commit" : " commits");
  if (cut_off.largest_skew > kSuspiciousSkew) {
    plan.warnings.push_back(
        fmt::format("{}; the clock went back by {:.3f} s", text, to_seconds(cut_off.largest_skew)));
  } else {
    plan.notes.push_back(text);
  }
  return {};
}

void Planner::add_remarks(RestorePlan& plan) const {
  const auto& backup = plan.backup;
  if (backup.checksum_failure_count > 0) {
    plan.warnings.push_back(
        fmt::format("the backup holds {} blocks with wrong checksums, the first in {}",
                    backup.checksum_failure_count,
                    backup.checksum_failures.empty()
                        ? "a file that is not listed"
                        : fmt::format("{}, block {}", backup.checksum_failures.front().path,
                                      backup.checksum_failures.front().block)));
  }
  tell_what_is_left_behind(sources_, words_, plan);
}

Result<RestorePlan> Planner::make() {
  auto choice = TRY(choose());
  const auto backups = TRY(usable_backups(choice.history));
  auto candidate = TRY(find_candidate(choice.history, backups));
  RestorePlan plan{.target = request_.target,
                   .backup = std::move(candidate.backup),
                   .history = std::move(choice.history),
                   .timeline_was_given = request_.timeline.has_value(),
                   .timelines = std::move(choice.stored)};
  plan.segment_size = sources_.archive.segment_size();
  plan.wal_start = plan.backup.start_lsn;
  plan.target_lsn = candidate.found.record;
  plan.inclusive = candidate.found.inclusive;
  plan.first_dropped = candidate.found.first_dropped;
  plan.notes = std::move(candidate.found.notes);
  plan.warnings = std::move(candidate.found.warnings);
  TRY(set_positions(plan, candidate.wal));
  TRY(set_transactions(plan, candidate.wal));
  TRY(find_cut_offs(plan, candidate.wal));
  add_remarks(plan);
  return plan;
}

// What cannot be reached as it was asked for, but can on another stored timeline; the newest of
// these that does. Trying costs a plan.
std::optional<TimelineId> timeline_that_reaches(const PlanSources& sources, PlanRequest request) {
  auto timelines = sources.archive.timelines().value_or(std::vector<TimelineId>());
  if (timelines.size() < 2) return std::nullopt;
  if (std::erase(timelines, request.timeline.value_or(timelines.back())) == 0) return std::nullopt;
  std::ranges::reverse(timelines);
  if (timelines.size() > kMostTimelinesTried) timelines.resize(kMostTimelinesTried);
  for (const auto timeline : timelines) {
    request.timeline = timeline;
    if (Planner(sources, request).make().has_value()) return timeline;
  }
  return std::nullopt;
}

}  // namespace

std::uint64_t RestorePlan::segment_count() const {
  std::uint64_t count = 0;
  for (const auto& run : segments) count += run.last - run.first + 1;
  return count;
}

Result<RestorePlan> make_plan(const PlanSources& sources, const PlanRequest& request) {
  auto plan = Planner(sources, request).make();
  if (plan.has_value()) return plan;
  const auto& error = plan.error();
  if (error.kind() != ErrorKind::kInvalid && error.kind() != ErrorKind::kNotFound) return plan;
  const auto other = timeline_that_reaches(sources, request);
  if (!other) return plan;
  auto hint = fmt::format("timeline {0} reaches it: --timeline {0}", to_string(*other));
  if (!error.hint().empty()) hint += "; otherwise: " + error.hint();
  return std::move(plan).error().with_hint(std::move(hint));
}

}  // namespace pitr
