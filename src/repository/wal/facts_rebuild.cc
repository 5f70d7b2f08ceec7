#include "repository/wal/facts_rebuild.h"

#include <fmt/format.h>

#include <set>

#include "repository/wal/lineage.h"

namespace pitr {
namespace {

class Rebuild {
 public:
  Rebuild(const WalArchive& archive, FactsStore& facts, Observer& observer, std::stop_token stop)
      : archive_(archive), facts_(facts), observer_(observer), stop_(std::move(stop)) {}

  Result<void> run(const FactsRebuildRange& range);
  FactsRebuildReport take_report() { return std::move(report_); }

 private:
  Result<std::vector<SegmentId>> find_segments(const FactsRebuildRange& range);
  Result<void> rebuild(SegmentId segment);
  Result<void> derive(SegmentId segment, ByteView bytes);
  Result<void> keep(const wal::SegmentFacts& facts);
  Result<void> roll_up(const std::vector<SegmentId>& segments);

  const WalArchive& archive_;
  FactsStore& facts_;
  Observer& observer_;
  const std::stop_token stop_;
  FactsRebuildReport report_;
  std::optional<std::pair<SegmentId, wal::Carry>> carry_;  // and where it leads
};

Result<std::vector<SegmentId>> Rebuild::find_segments(const FactsRebuildRange& range) {
  const auto size = archive_.segment_size();
  const auto first = size.number_of(range.from);
  const auto last = range.to ? size.number_of(*range.to) : UINT64_MAX;
  auto timelines = TRY(archive_.timelines());
  if (range.timeline) std::erase_if(timelines, [&](auto one) { return one != *range.timeline; });
  std::vector<SegmentId> segments;
  for (const auto timeline : timelines) {
    const auto found = TRY(archive_.list_segments(timeline, first, last));
    segments.insert(segments.end(), found.begin(), found.end());
  }
  return segments;
}

Result<void> Rebuild::run(const FactsRebuildRange& range) {
  const auto segments = TRY(find_segments(range));
  observer_.phase("deriving facts from WAL", segments.size() * archive_.segment_size().bytes());
  for (const auto& segment : segments) {
    if (stop_.stop_requested()) return Error::cancelled("stopped: run it again to go on");
    TRY(rebuild(segment));
    observer_.advance(archive_.segment_size().bytes());
  }
  return roll_up(segments);
}

Result<void> Rebuild::rebuild(SegmentId segment) {
  ++report_.segments;
  const auto bytes = archive_.read_segment(segment);
  auto derived = bytes ? derive(segment, *bytes) : Result<void>(bytes.error());
  if (derived) {
    report_.wal_bytes += bytes->size();
    return {};
  }
  // Removed meanwhile: retention did it.
  if (derived.error().kind() == ErrorKind::kNotFound) return {};
  if (derived.error().kind() != ErrorKind::kCorrupt) return derived;
  carry_.reset();
  const auto name = segment_file_name(segment, archive_.segment_size());
  observer_.warn(fmt::format("segment {}: {}", name, derived.error().message()));
  report_.failures.push_back({segment, derived.error().message()});
  return {};
}

Result<void> Rebuild::derive(SegmentId segment, ByteView bytes) {
  std::optional<wal::Carry> carry;
  if (carry_ && carry_->first == segment) {
    carry = std::move(carry_->second);
  } else {
    auto stored = stored_carry_into(archive_, segment);
    // Damage before the segment leaves its start unresolved, no more.
    if (!stored && stored.error().kind() != ErrorKind::kCorrupt) return stored.error();
    if (stored) carry = std::move(*stored);
  }
  carry_.reset();
  const auto options = TRY(decoder_options(archive_, segment.timeline));
  wal::Carry carry_out;
  auto built = wal::build_segment_facts(segment, options, std::move(carry), bytes, &carry_out);
  const auto facts = TRY(std::move(built));
  carry_ = std::pair(SegmentId{segment.timeline, segment.number + 1}, std::move(carry_out));
  return keep(facts);
}

Result<void> Rebuild::keep(const wal::SegmentFacts& facts) {
  if (facts.head == wal::Head::kUnresolved || !facts.linked) ++report_.unresolved;
  const auto before = facts_.get(facts.segment);
  const bool was_there = before.has_value() && before->has_value();
  const bool is_new = TRY(facts_.replace(facts));
  ++(!is_new ? report_.unchanged : was_there ? report_.replaced : report_.added);
  return {};
}

Result<void> Rebuild::roll_up(const std::vector<SegmentId>& segments) {
  observer_.phase("rolling facts up", 0);
  std::set<std::pair<TimelineId, std::uint64_t>> logs;
  for (const auto& segment : segments) {
    logs.emplace(segment.timeline, segment.number / archive_.segment_size().segments_per_log());
  }
  for (const auto& [timeline, log] : logs) {
    const bool is_rolled_up = TRY(facts_.roll_up(timeline, log));
    if (is_rolled_up) ++report_.logs_rolled_up;
  }
  return {};
}

}  // namespace

Result<FactsRebuildReport> rebuild_facts(const WalArchive& archive, FactsStore& facts,
                                         const FactsRebuildRange& range, Observer& observer,
                                         std::stop_token stop) {
  if (range.to && *range.to < range.from) {
    return Error::invalid(
        fmt::format("{} is not behind {}", to_string(*range.to), to_string(range.from)));
  }
  Rebuild rebuild(archive, facts, observer, std::move(stop));
  TRY(rebuild.run(range));
  return rebuild.take_report();
}

}  // namespace pitr
