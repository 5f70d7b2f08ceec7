#include "repository/wal/lineage.h"

#include <fmt/format.h>

#include <algorithm>

#include "common/log.h"
#include "postgres/wal/xact_scan.h"

namespace pitr {

// nullopt where it isn't stored.
static Result<std::optional<TimelineHistory>> find_history(const WalArchive& archive,
                                                           TimelineId timeline) {
  if (timeline == TimelineId(1)) {
    return std::optional(TimelineHistory::without_ancestors(timeline));
  }
  const auto text = archive.read_history(timeline);
  if (!text && text.error().kind() == ErrorKind::kNotFound) return std::nullopt;
  if (!text) return text.error();
  auto history = TRY(TimelineHistory::parse(timeline, as_text(*text)));
  return std::optional(std::move(history));
}

static wal::DecoderOptions options_without_history(const WalArchive& archive, TimelineId timeline) {
  wal::DecoderOptions options;
  options.system_identifier = archive.store().id().system_identifier;
  options.segment_size = archive.segment_size();
  options.timeline = timeline;
  return options;
}

Result<wal::DecoderOptions> decoder_options(const WalArchive& archive, TimelineId timeline) {
  auto options = options_without_history(archive, timeline);
  options.history = TRY(find_history(archive, timeline));
  return options;
}

// The segment of that number which leads to the timeline: its own, or where that isn't stored, as
// at a timeline's beginning, the ancestor's that holds the bytes before the segment's end.
static Result<Bytes> read_leading_to(const WalArchive& archive, const wal::DecoderOptions& options,
                                     std::uint64_t number) {
  auto bytes = archive.read_segment({options.timeline, number});
  if (bytes || bytes.error().kind() != ErrorKind::kNotFound || !options.history) return bytes;
  const Lsn segment_end = options.segment_size.start_of(number + 1);
  const TimelineId ancestor = options.history->timeline_at(segment_end - 1);
  if (ancestor == options.timeline) return bytes;
  return archive.read_segment({ancestor, number});
}

Result<std::optional<wal::Carry>> stored_carry_into(const WalArchive& archive, SegmentId segment) {
  const auto options = TRY(decoder_options(archive, segment.timeline));
  const auto reader = [&](std::uint64_t number) {
    return read_leading_to(archive, options, number);
  };
  return wal::carry_into(options, segment.number, reader);
}

Result<void> compare_with_ancestors(const WalArchive& archive, SegmentId segment, ByteView bytes) {
  const auto history = TRY(find_history(archive, segment.timeline));
  if (!history) return {};
  const auto size = archive.segment_size();
  const Lsn start = size.start_of(segment.number);
  for (const auto& ancestor : history->ancestors()) {
    const auto left = history->switch_point(ancestor.timeline);
    if (!left || *left <= start || *left >= start + bytes.size()) continue;
    const SegmentId theirs{ancestor.timeline, segment.number};
    const auto stored = archive.read_available(theirs);
    if (!stored) {
      // Damage there is no reason to refuse what came now.
      log::warning("{} can't be compared with {}: {}", segment_file_name(segment, size),
                   segment_file_name(theirs, size), stored.error().message());
      continue;
    }
    const auto shared = std::min<std::uint64_t>(*left - start, stored->bytes.size());
    const auto differs =
        std::ranges::mismatch(ByteView(stored->bytes).first(shared), bytes.first(shared));
    if (differs.in2 == bytes.begin() + static_cast<std::ptrdiff_t>(shared)) continue;
    return Error::conflict(
               fmt::format("WAL segment {} differs at offset {} from segment {}, which it has to "
                           "repeat up to the switch at {}",
                           segment_file_name(segment, size), differs.in2 - bytes.begin(),
                           segment_file_name(theirs, size), to_string(*left)))
        .with_hint(
            "these timelines are not of one history: another cluster's restore or clone "
            "archives under the same name, or a server lost WAL in a crash");
  }
  return {};
}

}  // namespace pitr
