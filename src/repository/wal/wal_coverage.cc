#include "repository/wal/wal_coverage.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "common/log.h"
#include "postgres/wal/xact_scan.h"

namespace pitr {

namespace {

// Facts are loaded for this many segments at a time.
constexpr std::uint64_t kFactsAhead = 256;

constexpr Lsn aligned(Lsn lsn) {
  return Lsn((lsn.value() + 7) & ~7ull);
}

class CoverageWalk {
 public:
  CoverageWalk(const WalArchive& archive, const FactsStore& facts, const TimelineHistory& history,
               Lsn from, EnoughWal is_enough)
      : archive_(archive),
        facts_(facts),
        history_(history),
        from_(from),
        is_enough_(std::move(is_enough)) {}

  Result<WalCoverage> run();

 private:
  // False: the walk is over, by damage too.
  Result<bool> advance(std::uint64_t number);
  // False: the walk is over.
  Result<bool> add_segment(std::uint64_t number);
  Result<bool> add_complete(SegmentId segment);
  Result<bool> add_incomplete(SegmentId segment);
  Result<bool> add_decoded(CoveredSegment covered, ByteView bytes);
  Result<std::optional<SegmentId>> find_stored(std::uint64_t number);
  Result<std::optional<wal::SegmentFacts>> load_facts(SegmentId segment);
  bool follows_on(const wal::SegmentFacts& facts) const;
  Result<std::optional<wal::Carry>> carry_into(SegmentId segment);
  wal::DecoderOptions decoder_options(SegmentId segment) const;
  bool is_first() const { return coverage_.segments.empty(); }
  std::string name(SegmentId segment) const {
    return segment_file_name(segment, archive_.segment_size());
  }

  const WalArchive& archive_;
  const FactsStore& facts_;
  const TimelineHistory& history_;
  const Lsn from_;
  const EnoughWal is_enough_;
  WalCoverage coverage_;
  std::map<SegmentId, wal::SegmentFacts> loaded_facts_;
  std::map<TimelineId, std::uint64_t> loaded_to_;
};

// What is newest is found first: while WAL streams in, the end that the walk comes to may have
// moved on by the time it gets there, and what came meanwhile is no sign of a gap.
Result<WalCoverage> CoverageWalk::run() {
  const auto newest = TRY(archive_.newest_segment(history_.timeline()));
  coverage_.end = from_;
  auto number = archive_.segment_size().number_of(from_);
  while (!is_enough_(coverage_)) {
    if (!TRY(advance(number))) break;
    ++number;
  }
  if (is_enough_(coverage_)) {
    coverage_.ended_by.clear();
  } else {
    coverage_.has_gap = coverage_.damage || (newest && newest->number > number);
  }
  return std::move(coverage_);
}

Result<bool> CoverageWalk::advance(std::uint64_t number) {
  auto goes_on = add_segment(number);
  if (goes_on.has_value() || goes_on.error().kind() != ErrorKind::kCorrupt) return goes_on;
  coverage_.ended_by = goes_on.error().message();
  coverage_.damage = std::move(goes_on).error();
  return false;
}

// The newest timeline of the history that has begun by the end of the segment and has it stored.
Result<std::optional<SegmentId>> CoverageWalk::find_stored(std::uint64_t number) {
  const Lsn segment_end = archive_.segment_size().start_of(number + 1);
  std::vector<TimelineId> candidates = {history_.timeline()};
  const auto& ancestors = history_.ancestors();
  for (auto it = ancestors.rbegin(); it != ancestors.rend(); ++it) {
    candidates.push_back(it->timeline);
  }
  for (const TimelineId timeline : candidates) {
    if (history_.begin_of(timeline).value_or(Lsn()) >= segment_end) continue;
    const auto left = history_.switch_point(timeline);
    if (left && *left <= archive_.segment_size().start_of(number)) continue;
    const SegmentId segment{timeline, number};
    if (TRY(load_facts(segment))) return std::optional(segment);
    if (TRY(archive_.has_segment(segment))) return std::optional(segment);
    const auto available = TRY(archive_.read_up_to_damage(segment));
    if (!available.bytes.empty() || available.damage) return std::optional(segment);
  }
  return std::optional<SegmentId>();
}

Result<std::optional<wal::SegmentFacts>> CoverageWalk::load_facts(SegmentId segment) {
  const auto loaded_to = loaded_to_.find(segment.timeline);
  if (loaded_to == loaded_to_.end() || segment.number > loaded_to->second) {
    const auto last = segment.number + kFactsAhead - 1;
    auto batch = facts_.range(segment.timeline, segment.number, last);
    if (!batch.has_value()) {
      if (batch.error().kind() != ErrorKind::kCorrupt) return std::move(batch).error();
      log::warning("segments are read instead of their facts: {}", batch.error().message());
      batch = std::vector<wal::SegmentFacts>();
    }
    loaded_facts_.clear();
    for (auto& facts : *batch) loaded_facts_.emplace(facts.segment, std::move(facts));
    loaded_to_.clear();
    loaded_to_[segment.timeline] = last;
  }
  const auto found = loaded_facts_.find(segment);
  if (found == loaded_facts_.end()) return std::optional<wal::SegmentFacts>();
  return std::optional(found->second);
}

Result<bool> CoverageWalk::add_segment(std::uint64_t number) {
  const auto segment = TRY(find_stored(number));
  if (!segment) {
    coverage_.ended_by =
        fmt::format("segment {} is not in the repository",
                    name({history_.timeline_at(archive_.segment_size().start_of(number)), number}));
    return false;
  }
  if (TRY(archive_.has_segment(*segment))) return add_complete(*segment);
  return add_incomplete(*segment);
}

// The first segment need not continue anything: only what lies behind `from` counts in it.
bool CoverageWalk::follows_on(const wal::SegmentFacts& facts) const {
  if (facts.last_record.is_none()) return facts.head != wal::Head::kUnresolved;
  if (is_first()) return facts.last_record >= from_;
  return facts.linked && facts.head != wal::Head::kUnresolved &&
         (coverage_.last_record.is_none() || facts.first_record_previous == coverage_.last_record);
}

Result<bool> CoverageWalk::add_complete(SegmentId segment) {
  const auto facts = TRY(load_facts(segment));
  const auto left = history_.switch_point(segment.timeline);
  const Lsn segment_end = archive_.segment_size().start_of(segment.number + 1);
  const bool is_left_here = left && *left < segment_end;
  if (!facts || !follows_on(*facts) || is_left_here) {
    const auto bytes = TRY(archive_.read_segment(segment));
    return add_decoded({segment, true, std::nullopt}, bytes);
  }
  coverage_.segments.push_back({segment, true, facts});
  if (!facts->last_record.is_none()) {
    coverage_.last_record = facts->last_record;
    coverage_.end = std::max(coverage_.end, facts->last_record_end);
  }
  return true;
}

Result<bool> CoverageWalk::add_incomplete(SegmentId segment) {
  auto available = TRY(archive_.read_up_to_damage(segment));
  const auto goes_on = TRY(add_decoded({segment, false, std::nullopt}, available.bytes));
  coverage_.torn = std::move(available.torn);
  if (!goes_on && available.damage) {
    coverage_.ended_by = available.damage->message();
    coverage_.damage = std::move(available.damage);
  }
  if (!goes_on && coverage_.ended_by.empty()) {
    coverage_.ended_by = fmt::format("segment {} is not complete yet", name(segment));
  }
  return goes_on;
}

// From the segments that the walk has passed, and from what lies before its start.
Result<std::optional<wal::Carry>> CoverageWalk::carry_into(SegmentId segment) {
  const auto reader = [&](std::uint64_t number) -> Result<Bytes> {
    for (const auto& passed : coverage_.segments) {
      if (passed.segment.number != number) continue;
      auto available = TRY(archive_.read_up_to_damage(passed.segment));
      return std::move(available.bytes);
    }
    return archive_.read_segment({segment.timeline, number});
  };
  return wal::carry_into(decoder_options(segment), segment.number, reader);
}

wal::DecoderOptions CoverageWalk::decoder_options(SegmentId segment) const {
  wal::DecoderOptions options;
  options.system_identifier = archive_.store().id().system_identifier;
  options.segment_size = archive_.segment_size();
  options.timeline = segment.timeline;
  return options;
}

// All bytes of a segment may be there as tails: a streamed segment is stored as one object a moment
// later, or never where the agent's host is lost.
Result<bool> CoverageWalk::add_decoded(CoveredSegment covered, ByteView bytes) {
  const SegmentId segment = covered.segment;
  const bool is_whole = bytes.size() == archive_.segment_size().bytes();
  const Lsn start = archive_.segment_size().start_of(segment.number);
  const auto left = history_.switch_point(segment.timeline);
  if (left && *left < start + bytes.size()) bytes = bytes.first(*left - start);

  auto carry = TRY(carry_into(segment));
  auto decoded =
      wal::decode_valid_prefix(decoder_options(segment), start, std::move(carry), bytes, {});
  const auto valid = TRY(std::move(decoded));
  if (!valid.last_record.is_none()) {
    coverage_.last_record = valid.last_record;
    coverage_.end = std::max(coverage_.end, valid.last_record_end);
  }
  coverage_.segments.push_back(std::move(covered));
  if (valid.reached_end) return is_whole;
  coverage_.ended_by = fmt::format("segment {} ends at {}: {}", name(segment),
                                   to_string(valid.stopped_at), valid.stopped_by);
  return false;
}

}  // namespace

Result<WalCoverage> wal_coverage(const WalArchive& archive, const FactsStore& facts,
                                 const TimelineHistory& history, Lsn from,
                                 std::optional<Lsn> until) {
  const auto is_reached = [until](const WalCoverage& coverage) {
    return until && aligned(coverage.end) >= *until;
  };
  return wal_coverage(archive, facts, history, from, is_reached);
}

Result<WalCoverage> wal_coverage(const WalArchive& archive, const FactsStore& facts,
                                 const TimelineHistory& history, Lsn from, EnoughWal is_enough) {
  return CoverageWalk(archive, facts, history, from, std::move(is_enough)).run();
}

Result<TimelineHistory> stored_history(const WalArchive& archive, TimelineId timeline) {
  if (timeline == TimelineId(1)) return TimelineHistory::without_ancestors(timeline);
  auto text = archive.read_history(timeline);
  const auto bytes = TRY(std::move(text));
  return TimelineHistory::parse(timeline, as_text(bytes));
}

}  // namespace pitr
