#include "walreceiver/segment_ingest.h"

#include <fmt/format.h>

#include "postgres/timeline_history.h"

namespace pitr {

// Sealing runs at most this many segments behind the stream (SegmentSealer::kMaxPending), and one
// more may have been under way.
static constexpr std::uint64_t kSegmentsToLookBack = 4;

wal::DecoderOptions SegmentIngest::decoder_options(TimelineId timeline) const {
  wal::DecoderOptions options;
  options.system_identifier = archive_.store().id().system_identifier;
  options.segment_size = archive_.segment_size();
  options.timeline = timeline;
  return options;
}

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

Result<PutOutcome> SegmentIngest::put(SegmentId segment, ByteView bytes,
                                      std::optional<wal::Carry> carry) {
  TRY(check_identity(segment, bytes));
  const auto outcome = TRY(archive_.put_segment(segment, bytes));
  TRY(derive_facts(segment, bytes, std::move(carry)));
  return outcome;
}

static bool needs_predecessor(const wal::SegmentFacts& facts) {
  return facts.head == wal::Head::kUnresolved || !facts.linked;
}

Result<void> SegmentIngest::derive_facts(SegmentId segment, ByteView bytes,
                                         std::optional<wal::Carry> carry) {
  const auto known = TRY(facts_.get(segment));
  if (known && !needs_predecessor(*known)) return {};
  if (!carry) carry = TRY(carry_into(segment));
  if (known && !carry) return {};  // nothing new would come of it

  wal::Carry carry_out;
  auto built = wal::build_segment_facts(segment, decoder_options(segment.timeline),
                                        std::move(carry), bytes, &carry_out);
  const auto facts = TRY(std::move(built));
  TRY(facts_.put(facts));
  const SegmentId next{segment.timeline, segment.number + 1};
  remember(next, carry_out);
  return resolve_following(next, std::move(carry_out));
}

// Segments that came before their predecessor did.
Result<void> SegmentIngest::resolve_following(SegmentId segment, wal::Carry carry) {
  while (true) {
    const auto known = TRY(facts_.get(segment));
    if (!known || !needs_predecessor(*known)) return {};
    const auto bytes = TRY(archive_.read_segment(segment));
    wal::Carry carry_out;
    auto built = wal::build_segment_facts(segment, decoder_options(segment.timeline),
                                          std::move(carry), bytes, &carry_out);
    const auto facts = TRY(std::move(built));
    TRY(facts_.put(facts));
    carry = std::move(carry_out);
    ++segment.number;
  }
}

// The timeline that a segment's predecessor is stored on: its own, or at its timeline's first
// segment an ancestor's.
Result<std::optional<Bytes>> SegmentIngest::read_preceding(SegmentId segment) {
  if (segment.number == 0) return std::optional<Bytes>();
  SegmentId preceding{segment.timeline, segment.number - 1};
  auto bytes = archive_.read_segment(preceding);
  if (bytes) return std::optional<Bytes>(std::move(*bytes));
  if (bytes.error().kind() != ErrorKind::kNotFound) return Error(std::move(bytes).error());
  if (segment.timeline == TimelineId(1)) return std::optional<Bytes>();

  auto text = archive_.read_history(segment.timeline);
  if (!text && text.error().kind() == ErrorKind::kNotFound) return std::optional<Bytes>();
  const auto history_bytes = TRY(std::move(text));
  const auto history = TRY(TimelineHistory::parse(segment.timeline, as_text(history_bytes)));
  const Lsn border = archive_.segment_size().start_of(segment.number);
  preceding.timeline = history.timeline_at(border - 1);
  if (preceding.timeline == segment.timeline) return std::optional<Bytes>();
  bytes = archive_.read_segment(preceding);
  if (bytes) return std::optional<Bytes>(std::move(*bytes));
  if (bytes.error().kind() == ErrorKind::kNotFound) return std::optional<Bytes>();
  return Error(std::move(bytes).error());
}

Result<std::optional<wal::Carry>> SegmentIngest::carry_into(SegmentId segment) {
  if (auto carry = recall(segment)) return carry;
  const auto bytes = TRY(read_preceding(segment));
  if (!bytes) return std::optional<wal::Carry>();
  const Lsn start = archive_.segment_size().start_of(segment.number - 1);
  auto started = wal::WalDecoder::start(decoder_options(segment.timeline), start, std::nullopt,
                                        [](const wal::Record&) { return Result<void>(); });
  auto decoder = TRY(std::move(started));
  TRY(decoder.push(*bytes));
  auto carry = TRY(decoder.carry());
  remember(segment, carry);
  return std::optional<wal::Carry>(std::move(carry));
}

Result<std::uint32_t> SegmentIngest::seal_complete_tails(TimelineId timeline) {
  const auto newest = TRY(archive_.newest_segment(timeline));
  if (!newest) return 0;
  std::uint32_t sealed = 0;
  const auto first = newest->number - std::min(newest->number, kSegmentsToLookBack);
  for (auto number = first; number <= newest->number; ++number) {
    const SegmentId segment{timeline, number};
    if (TRY(archive_.has_segment(segment))) continue;
    const auto stored = TRY(archive_.adopt_available(segment));
    if (stored.bytes.size() != archive_.segment_size().bytes()) continue;
    TRY(put(segment, stored.bytes));
    TRY(archive_.remove_tails(segment));
    ++sealed;
  }
  return sealed;
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
