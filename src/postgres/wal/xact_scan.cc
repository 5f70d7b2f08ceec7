#include "postgres/wal/xact_scan.h"

#include <fmt/format.h>

#include <algorithm>

namespace pitr::wal {

RecordSink make_record_sink(ScanSink sink) {
  return [sink = std::move(sink)](const Record& record) -> Result<void> {
    if (sink.record) TRY(sink.record(record));
    if (sink.xact_end && record.header.rmgr == kRmXact) {
      const auto xact = TRY(parse_xact_end(record));
      if (xact) TRY(sink.xact_end(*xact));
    }
    if (sink.restore_point && record.header.rmgr == kRmXlog) {
      const auto point = TRY(parse_restore_point(record));
      if (point) TRY(sink.restore_point(*point));
    }
    return {};
  };
}

Result<std::optional<Carry>> carry_into(const DecoderOptions& options, std::uint64_t number,
                                        const SegmentReader& reader) {
  // Far enough back is where a whole record lies before the border. Decoding begins anew from each
  // segment further back, but only records longer than a segment need that.
  std::optional<Carry> best;
  for (std::uint64_t from = number; from > 0;) {
    --from;
    auto started =
        WalDecoder::start(options, options.segment_size.start_of(from), std::nullopt, nullptr);
    auto decoder = TRY(std::move(started));
    for (std::uint64_t segment = from; segment < number; ++segment) {
      auto bytes = reader(segment);
      if (!bytes && bytes.error().kind() == ErrorKind::kNotFound) return best;
      const auto content = TRY(std::move(bytes));
      if (content.size() != options.segment_size.bytes()) return best;
      TRY(decoder.push(content));
    }
    auto carry = TRY(decoder.carry());
    const bool is_known = !carry.last_record.is_none();
    if (is_known || !carry.partial_start.is_none()) best = std::move(carry);
    if (is_known) break;
  }
  return best;
}

Result<ScanResult> scan_segments(const DecoderOptions& options, std::uint64_t first,
                                 std::uint64_t last, const SegmentReader& reader, ScanSink sink) {
  if (first > last) {
    return Error::invalid(fmt::format("WAL segments {} to {} are no range", first, last));
  }
  const RecordSink record_sink = make_record_sink(std::move(sink));
  auto carry = TRY(carry_into(options, first, reader));
  auto started = WalDecoder::start(options, options.segment_size.start_of(first), std::move(carry),
                                   record_sink);
  auto decoder = TRY(std::move(started));
  Result<void> pushed;
  for (std::uint64_t segment = first; segment <= last; ++segment) {
    const auto bytes = TRY(reader(segment));
    if (segment < last && bytes.size() != options.segment_size.bytes()) {
      return Error::corrupt(
          fmt::format("WAL segment {} is cut off",
                      segment_file_name({options.timeline, segment}, options.segment_size)));
    }
    pushed = decoder.push(bytes);
    if (!pushed && (segment < last || decoder.stopped_by().empty())) {
      return Error(std::move(pushed).error());
    }
  }
  return ScanResult{.head_unresolved = decoder.head_unresolved(), .end = valid_end(decoder)};
}

}  // namespace pitr::wal
