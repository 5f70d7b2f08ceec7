#include "repository/verify/wal_check.h"

#include <fmt/format.h>

#include <algorithm>

#include "repository/wal/lineage.h"

namespace pitr {

static constexpr std::size_t kLongestRun = 64;

std::vector<std::vector<SegmentId>> runs_of_segments(const std::vector<SegmentId>& segments,
                                                     SegmentSize size) {
  std::vector<std::vector<SegmentId>> runs;
  for (const auto& segment : segments) {
    const bool goes_on = !runs.empty() && runs.back().size() < kLongestRun &&
                         runs.back().back().timeline == segment.timeline &&
                         runs.back().back().number + 1 == segment.number &&
                         segment.number % size.segments_per_log() != 0;
    if (!goes_on) runs.emplace_back();
    runs.back().push_back(segment);
  }
  return runs;
}

// `carry`: into the segment, where it is known; afterwards into the next one.
Result<wal::SegmentFacts> WalCheck::derive(SegmentId segment,
                                           std::optional<wal::Carry>& carry) const {
  auto into = std::move(carry);
  carry.reset();
  const auto key = store_.names().segment(segment);
  auto read = objects_.read(ContainerKind::kSegment, key, store_.segment_size().bytes());
  if (!read && read.error().kind() == ErrorKind::kCorrupt) {
    read = objects_.read(ContainerKind::kSegment, key, store_.segment_size().bytes());
  }
  const auto bytes = TRY(std::move(read));
  if (!into) {
    auto stored = stored_carry_into(archive_, segment);
    // Damage before the segment is that of another one.
    if (!stored && stored.error().kind() != ErrorKind::kCorrupt) return stored.error();
    if (stored) into = std::move(*stored);
  }
  const auto options = TRY(decoder_options(archive_, segment.timeline));
  wal::Carry out;
  auto derived = TRY(with_context(
      wal::build_segment_facts(segment, options, std::move(into), bytes, &out), key.text()));
  carry = std::move(out);
  return derived;
}

void WalCheck::check(std::span<const SegmentId> run) const {
  std::vector<wal::SegmentFacts> stored;
  auto found = facts_.range(run.front().timeline, run.front().number, run.back().number,
                            wal::WithChanges::kYes);
  // Facts that can't be read are told where they are checked.
  if (found) stored = std::move(*found);
  std::optional<wal::Carry> carry;
  for (const auto& segment : run) {
    const auto key = store_.names().segment(segment);
    if (meter_.is_stopped() || findings_.storage_is_away()) {
      findings_.skipped(key);
      continue;
    }
    const auto derived = derive(segment, carry);
    if (!derived) {
      findings_.add(key, derived.error());
      continue;
    }
    findings_.checked();
    compare_facts(*derived, stored);
  }
}

// Facts of an older version lack sections, and those of a segment that came before the one before
// it may know less of its beginning.
static bool say_the_same(const wal::SegmentFacts& a, const wal::SegmentFacts& b) {
  if (a.last_record != b.last_record || a.last_record_end != b.last_record_end ||
      a.partial_record != b.partial_record) {
    return false;
  }
  if (a.head != b.head || a.linked != b.linked) return true;
  if (a.first_record != b.first_record || a.first_record_previous != b.first_record_previous ||
      a.commits != b.commits || a.aborts != b.aborts) {
    return false;
  }
  if (a.has_xacts() && (a.min_xact_time != b.min_xact_time || a.max_xact_time != b.max_xact_time)) {
    return false;
  }
  if (!a.changes || !b.changes) return true;
  const auto encoded_changes = [](const wal::SegmentFacts& facts) {
    wal::SegmentFacts only;
    only.segment = facts.segment;
    only.segment_size = facts.segment_size;
    only.changes = facts.changes;
    return wal::encode_facts(only);
  };
  return encoded_changes(a) == encoded_changes(b);
}

void WalCheck::compare_facts(const wal::SegmentFacts& derived,
                             std::span<const wal::SegmentFacts> stored) const {
  const auto found = std::ranges::find(stored, derived.segment, &wal::SegmentFacts::segment);
  if (found == stored.end() || say_the_same(derived, *found)) return;
  const auto key = store_.names().facts(derived.segment);
  findings_.add(
      key, Error::corrupt(fmt::format("the facts of segment {} aren't what its WAL says",
                                      segment_file_name(derived.segment, store_.segment_size()))));
}

}  // namespace pitr
