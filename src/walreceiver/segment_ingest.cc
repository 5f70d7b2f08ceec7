#include "walreceiver/segment_ingest.h"

#include <fmt/format.h>

#include <algorithm>

#include "common/log.h"
#include "repository/wal/tail_chain.h"

namespace pitr {

// Sealing runs at most this many segments behind the stream (SegmentSealer::kMaxPending), and one
// more may have been under way.
static constexpr std::uint64_t kSegmentsToLookBack = 4;

Result<void> SegmentIngest::check_identity(SegmentId segment, ByteView bytes) const {
  const SegmentSize size = archive_.segment_size();
  const auto name = segment_file_name(segment, size);
  if (bytes.size() != size.bytes()) {
    return Error::invalid(fmt::format("WAL segment {} has {} bytes; this cluster's have {}", name,
                                      bytes.size(), size.bytes()));
  }
  auto header = with_context(wal::parse_page_header(bytes), "WAL segment " + name);
  const auto page = TRY(std::move(header));
  const auto expected = archive_.store().id().system_identifier;
  if (!page.is_long || page.segment_size_bytes != size.bytes()) {
    return Error::invalid(fmt::format("WAL segment {} does not begin as a segment does", name));
  }
  if (page.system_identifier != expected) {
    return Error::invalid(fmt::format("WAL segment {} belongs to another cluster: its system "
                                      "identifier is {}, this one's is {}",
                                      name, page.system_identifier, expected))
        .with_hint("check which cluster archive_command names in --cluster");
  }
  if (page.address != size.start_of(segment.number) || page.timeline > segment.timeline) {
    return Error::invalid(fmt::format("WAL segment {} holds WAL of {} on timeline {}", name,
                                      to_string(page.address), to_string(page.timeline)));
  }
  return {};
}

static Result<void> expect_begins_with(ByteView streamed, ByteView bytes, const std::string& name) {
  const auto differs = std::ranges::mismatch(streamed, bytes.first(streamed.size()));
  if (differs.in1 == streamed.end()) return {};
  return Error::conflict(fmt::format("WAL segment {} differs at offset {} from what was streamed "
                                     "of it",
                                     name, differs.in1 - streamed.begin()))
      .with_hint(
          "a clone of the cluster archives or streams under the same name: give it a cluster name "
          "of its own");
}

// A clone's segment must not take the place of bytes that were acknowledged to the server.
Result<void> SegmentIngest::compare_with_streamed(SegmentId segment, ByteView bytes) {
  if (TRY(archive_.has_segment(segment))) return {};  // compared when it's put
  const auto streamed = TRY(archive_.adopt_available(segment));
  return expect_begins_with(streamed.bytes, bytes,
                            segment_file_name(segment, archive_.segment_size()));
}

Result<PutOutcome> SegmentIngest::put(SegmentId segment, ByteView bytes) {
  auto outcome = compare_and_store(segment, bytes);
  const bool is_refused = !outcome && (outcome.error().kind() == ErrorKind::kCorrupt ||
                                       outcome.error().kind() == ErrorKind::kConflict);
  if (is_refused && TRY(is_left_within(segment, bytes))) {
    const auto name = segment_file_name(segment, archive_.segment_size()) + ".partial";
    outcome = archive_.put_file(name, bytes);
  }
  if (counts_ != nullptr) counts_->add(SegmentWay::kArchived, outcome);
  return outcome;
}

// Whether a younger timeline begins within the segment, and up to there these are its bytes.
Result<bool> SegmentIngest::is_left_within(SegmentId segment, ByteView bytes) {
  const Lsn start = archive_.segment_size().start_of(segment.number);
  const auto timelines = TRY(archive_.timelines());
  const auto streamed = TRY(archive_.read_up_to_damage(segment));
  for (const TimelineId younger : timelines) {
    if (younger <= segment.timeline) continue;
    const auto options = TRY(decoder_options(younger));
    const auto left =
        options.history ? options.history->switch_point(segment.timeline) : std::optional<Lsn>();
    if (!left || *left <= start || *left > start + bytes.size()) continue;
    const auto size = std::min<std::size_t>(*left - start, streamed.bytes.size());
    if (!std::ranges::equal(bytes.first(size), ByteView(streamed.bytes).first(size))) continue;
    const auto own_options = TRY(decoder_options(segment.timeline));
    const auto carry = TRY(carry_into(segment));
    const auto valid = TRY(wal::decode_valid_prefix(own_options, start, carry, bytes, {}));
    if (valid.last_record_end >= *left) return true;
  }
  return false;
}

Result<PutOutcome> SegmentIngest::put_streamed(SegmentId segment, ByteView bytes,
                                               std::optional<wal::Carry> carry) {
  auto outcome = store(segment, bytes, std::move(carry));
  if (counts_ != nullptr) counts_->add(SegmentWay::kStreamed, outcome);
  return outcome;
}

Result<PutOutcome> SegmentIngest::compare_and_store(SegmentId segment, ByteView bytes) {
  TRY(check_identity(segment, bytes));
  TRY(compare_with_streamed(segment, bytes));
  return store(segment, bytes, std::nullopt);
}

// Decoded before it's stored: a damaged segment would stand in the way of the right one.
Result<PutOutcome> SegmentIngest::store(SegmentId segment, ByteView bytes,
                                        std::optional<wal::Carry> carry) {
  TRY(check_identity(segment, bytes));
  TRY(compare_with_ancestors(archive_, segment, bytes));
  auto derived = TRY(derive_facts(segment, bytes, std::move(carry)));
  const auto outcome = TRY(archive_.put_segment(segment, bytes));
  if (!derived) {
    TRY(facts_.ensure_durable(segment));
    return outcome;
  }
  TRY(facts_.put(derived->facts));
  const SegmentId next{segment.timeline, segment.number + 1};
  remember(next, derived->carry_out);
  TRY(resolve_children(next, derived->carry_out));
  TRY(resolve_following(next, std::move(derived->carry_out)));
  roll_up_before(next);
  return outcome;
}

static bool needs_predecessor(const wal::SegmentFacts& facts) {
  return facts.head == wal::Head::kUnresolved || !facts.linked;
}

Result<std::optional<SegmentIngest::NewFacts>> SegmentIngest::derive_facts(
    SegmentId segment, ByteView bytes, std::optional<wal::Carry> carry) {
  const auto known = TRY(facts_.get(segment));
  if (known && known->changes && !needs_predecessor(*known)) return std::nullopt;
  if (!carry) carry = TRY(carry_into(segment));
  if (known && known->changes && !carry) return std::nullopt;  // nothing new would come of it

  NewFacts derived;
  const auto options = TRY(decoder_options(segment.timeline));
  auto built =
      wal::build_segment_facts(segment, options, std::move(carry), bytes, &derived.carry_out);
  derived.facts = TRY(std::move(built));
  return std::optional(std::move(derived));
}

// Segments that came before their predecessor did.
Result<void> SegmentIngest::resolve_following(SegmentId segment, wal::Carry carry) {
  const auto options = TRY(decoder_options(segment.timeline));
  while (true) {
    const auto known = TRY(facts_.get(segment));
    if (!known || !needs_predecessor(*known)) return {};
    const auto bytes = TRY(archive_.read_segment(segment));
    wal::Carry carry_out;
    auto built = wal::build_segment_facts(segment, options, std::move(carry), bytes, &carry_out);
    const auto facts = TRY(std::move(built));
    TRY(facts_.put(facts));
    carry = std::move(carry_out);
    ++segment.number;
  }
}

// Of the timelines with segments that are younger than this one.
Result<std::vector<TimelineHistory>> SegmentIngest::younger_histories(TimelineId timeline) {
  std::set<TimelineId> timelines;
  {
    std::lock_guard lock(mutex_);
    if (timelines_) timelines = *timelines_;
  }
  if (timelines.empty()) {
    const auto listed = TRY(archive_.timelines());
    timelines = {listed.begin(), listed.end()};
  }
  timelines.insert(timeline);
  std::vector<TimelineHistory> younger;
  for (auto at = timelines.upper_bound(timeline); at != timelines.end(); ++at) {
    auto options = TRY(decoder_options(*at));
    if (options.history) younger.push_back(std::move(*options.history));
  }
  std::lock_guard lock(mutex_);
  if (timelines_) timelines.merge(*timelines_);
  timelines_ = std::move(timelines);
  return younger;
}

// A younger timeline's first segment may have come before the last one of this timeline that leads
// to it.
Result<void> SegmentIngest::resolve_children(SegmentId segment, const wal::Carry& carry) {
  const auto younger = TRY(younger_histories(segment.timeline));
  const Lsn border = archive_.segment_size().start_of(segment.number);
  for (const auto& history : younger) {
    if (history.timeline_at(border - 1) != segment.timeline) continue;
    TRY(resolve_following({history.timeline(), segment.number}, carry));
  }
  return {};
}

// Best effort: what isn't rolled up is read as it is.
void SegmentIngest::roll_up_before(SegmentId segment) {
  const auto per_log = archive_.segment_size().segments_per_log();
  if (segment.number % per_log != 0) return;
  const auto rolled_up = facts_.roll_up(segment.timeline, segment.number / per_log - 1);
  if (!rolled_up) log::warning("facts are not rolled up: {}", rolled_up.error().message());
}

Result<std::optional<wal::Carry>> SegmentIngest::carry_into(SegmentId segment) {
  if (auto carry = recall(segment)) return carry;
  auto carry = TRY(stored_carry_into(archive_, segment));
  if (carry) remember(segment, *carry);
  return carry;
}

Result<std::uint32_t> SegmentIngest::seal_complete_tails(TimelineId timeline) {
  const auto newest = TRY(archive_.newest_segment(timeline));
  if (!newest) return 0;
  std::uint32_t sealed = 0;
  const auto first = newest->number - std::min(newest->number, kSegmentsToLookBack);
  for (auto number = first; number <= newest->number; ++number) {
    const SegmentId segment{timeline, number};
    const bool is_stored = TRY(archive_.has_segment(segment));
    const bool was_open = TRY(is_stored ? finish_sealing(segment) : seal_tails(segment));
    if (was_open) ++sealed;
  }
  return sealed;
}

Result<bool> SegmentIngest::seal_tails(SegmentId segment) {
  const auto streamed = TRY(archive_.adopt_available(segment));
  if (streamed.bytes.size() != archive_.segment_size().bytes()) return false;
  TRY(put_streamed(segment, streamed.bytes));
  TRY(archive_.remove_tails(segment));
  return true;
}

// The segment is stored; facts may be missing, and tails left.
Result<bool> SegmentIngest::finish_sealing(SegmentId segment) {
  const auto tails = TRY(list_tails(archive_.store(), segment));
  const auto known = TRY(facts_.get(segment));
  if (tails.empty() && known) {
    TRY(facts_.ensure_durable(segment));
    return false;
  }
  const auto bytes = TRY(archive_.read_segment(segment));
  TRY(put_streamed(segment, bytes));  // durable from here on
  const auto streamed = TRY(read_tail_chain(archive_.store(), segment));
  TRY(expect_begins_with(streamed.bytes, bytes,
                         segment_file_name(segment, archive_.segment_size())));
  TRY(archive_.remove_tails(segment));
  return true;
}

void SegmentIngest::remember(SegmentId next, const wal::Carry& carry) {
  std::lock_guard lock(mutex_);
  last_carry_ = std::pair(next, carry);
}

std::optional<wal::Carry> SegmentIngest::recall(SegmentId segment) const {
  std::lock_guard lock(mutex_);
  if (!last_carry_ || last_carry_->first != segment) return std::nullopt;
  return last_carry_->second;
}

}  // namespace pitr
