#include <fmt/format.h>

#include <algorithm>

#include "postgres/wal/decoder_impl.h"

namespace pitr::wal {

Result<std::size_t> WalDecoder::Impl::take_page_header(ByteView bytes) {
  const std::size_t offset = position.value() % kPageSize;
  const Lsn page_start = position - offset;
  const std::size_t size = header_size(page_start);
  const std::size_t used = std::min(bytes.size(), size - offset);
  std::copy_n(bytes.begin(), used, header_bytes.begin() + static_cast<std::ptrdiff_t>(offset));
  if (offset + used < size) return used;

  auto page = parse_page_header(ByteView(header_bytes).first(size));
  if (!page) return bad_page(page_start, page.error().message());
  TRY(check_page(*page, page_start));
  return used;
}

Result<void> WalDecoder::Impl::check_page(const PageHeader& page, Lsn at) {
  // The other way round the header would have been cut off.
  if (starts_segment(at) && !page.is_long) {
    return bad_page(at, "a segment's first page lacks the long header");
  }
  if (page.address != at) {
    return bad_page(at, fmt::format("page address is {}: left over from recycling, or misplaced",
                                    to_string(page.address)));
  }
  if (magic == 0) {
    magic = page.magic;
    major = TRY(major_of_magic(magic));
  } else if (page.magic != magic) {
    return bad_page(at, fmt::format("page magic {:04X} after {:04X}", page.magic, magic));
  }
  if (page.is_long) TRY(check_segment(page, at));
  TRY(check_page_timeline(page, at));
  return check_continuation(page, at);
}

Result<void> WalDecoder::Impl::check_segment(const PageHeader& page, Lsn at) {
  if (page.segment_size_bytes != options.segment_size.bytes()) {
    return bad_page(at, fmt::format("segment size {}, expected {}", page.segment_size_bytes,
                                    options.segment_size.bytes()));
  }
  if (page.block_size != kPageSize) {
    return bad_page(at, fmt::format("WAL block size {}, expected {}", page.block_size, kPageSize));
  }
  if (system_identifier == 0) system_identifier = page.system_identifier;
  if (page.system_identifier != system_identifier) {
    return bad_page(at, fmt::format("system identifier {}, expected {}: WAL of another cluster",
                                    page.system_identifier, system_identifier));
  }
  return {};
}

Result<void> WalDecoder::Impl::check_page_timeline(const PageHeader& page, Lsn at) {
  if (page.timeline > options.timeline || page.timeline == TimelineId()) {
    return bad_page(at, fmt::format("timeline {} on timeline {}", to_string(page.timeline),
                                    to_string(options.timeline)));
  }
  if (page.timeline < page_timeline) {
    return bad_page(at, fmt::format("timeline {} after {}", to_string(page.timeline),
                                    to_string(page_timeline)));
  }
  // A page that was begun before the switch point keeps its timeline on the new one too.
  if (options.history && page.timeline != options.history->timeline_at(at)) {
    return bad_page(at,
                    fmt::format("timeline {}, but the history says {}", to_string(page.timeline),
                                to_string(options.history->timeline_at(at))));
  }
  page_timeline = page.timeline;
  return {};
}

Result<void> WalDecoder::Impl::check_continuation(const PageHeader& page, Lsn at) {
  if (page.first_is_continuation != (page.remaining_length != 0)) {
    return bad_page(at, "continuation flag and remaining length disagree");
  }
  const bool nothing_known = at == start_position && !has_carry;
  const std::uint32_t expected =
      partial.exists() ? partial.header.total_length - partial.length : head_left;

  if (page.first_is_overwrite_contrecord) {
    if (page.first_is_continuation)
      return bad_page(at, "it both continues and overwrites a record");
    if (expected == 0 && !nothing_known) {
      return bad_page(at, "it overwrites a record, but none is unfinished");
    }
    overwrite_expected = true;
    overwritten = partial.start;
    if (head_left > 0) head_end = at;
    head_left = 0;
    drop_partial();
    return {};
  }
  if (nothing_known) {
    if (page.remaining_length > max_record_length(major)) {
      return bad_page(at, fmt::format("remaining length {} is too long", page.remaining_length));
    }
    head_left = page.remaining_length;
    head_unresolved = head_left > 0;
    return {};
  }
  if (page.remaining_length == expected) return {};
  if (expected == 0) return bad_page(at, "it continues a record, but none is unfinished");
  if (page.remaining_length == 0) {
    return bad_page(
        at, fmt::format("the rest of the record at {} is missing", to_string(partial.start)));
  }
  return bad_page(
      at, fmt::format("{} bytes of a record remain, expected {}", page.remaining_length, expected));
}

}  // namespace pitr::wal
