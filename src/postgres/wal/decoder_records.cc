#include <fmt/format.h>

#include <algorithm>

#include "postgres/crc32c.h"
#include "postgres/wal/decoder_impl.h"

namespace pitr::wal {
namespace {

constexpr std::size_t kBytesBeforeCrc = kRecordHeaderSize - sizeof(std::uint32_t);
// Room that the record buffer keeps between records.
constexpr std::size_t kIdleBufferBytes = 1u << 20;

}  // namespace

Result<std::size_t> WalDecoder::Impl::take_page_content(ByteView bytes) {
  if (head_left > 0) return take_head(bytes);
  if (partial.exists()) return take_partial(bytes);
  const auto used = TRY(take_whole_records(bytes));
  if (used > 0) return used;
  partial.start = position;
  return take_partial(bytes);
}

std::size_t WalDecoder::Impl::take_head(ByteView bytes) {
  const auto used = std::min<std::size_t>(head_left, bytes.size());
  head_left -= static_cast<std::uint32_t>(used);
  if (head_left == 0) {
    head_end = align_up(position + used);
    skip_to = head_end;
  }
  return used;
}

// The records that lie whole in these bytes of one page, without copying them; returns how far
// that was, 0 where the first isn't whole.
Result<std::size_t> WalDecoder::Impl::take_whole_records(ByteView bytes) {
  std::size_t used = 0;
  while (bytes.size() - used >= kRecordHeaderSize) {
    const ByteView rest = bytes.subspan(used);
    const auto header = parse_record_header(rest);
    // Where the header lies whole, bytes behind it can't be needed to refute it.
    const Lsn start = position + used;
    TRY(check_record_header(header, start));
    if (header.total_length > rest.size()) break;

    const ByteView whole = rest.first(header.total_length);
    if (record_crc(whole) != header.crc) return bad_record(start, "CRC is wrong");
    const Lsn end = align_up(start + header.total_length);
    TRY(deliver({start, end, page_timeline, major, header, whole}));
    used = std::min(skip_to, position + bytes.size()) - position;
  }
  return used;
}

Result<std::size_t> WalDecoder::Impl::take_partial(ByteView bytes) {
  const bool in_header = partial.length < kRecordHeaderSize;
  const std::size_t wanted =
      (in_header ? kRecordHeaderSize : partial.header.total_length) - partial.length;
  const std::size_t used = std::min(wanted, bytes.size());
  const ByteView taken = bytes.first(used);
  if (!in_header) partial.body_crc = crc32c(taken, partial.body_crc);
  if (partial.bytes.size() < options.kept_record_bytes) {
    const auto kept = std::min(used, options.kept_record_bytes - partial.bytes.size());
    partial.bytes.insert(partial.bytes.end(), taken.begin(),
                         taken.begin() + static_cast<std::ptrdiff_t>(kept));
  }
  partial.length += static_cast<std::uint32_t>(used);
  if (in_header) TRY(take_partial_header());
  const bool has_header = partial.length >= kRecordHeaderSize;
  if (has_header && partial.length == partial.header.total_length) {
    TRY(finish_partial(position + used));
  }
  return used;
}

// The length never straddles pages, and is enough to know a record for the end of WAL.
Result<void> WalDecoder::Impl::take_partial_header() {
  if (partial.length >= kRecordHeaderSize) {
    partial.header = parse_record_header(partial.bytes);
    return check_record_header(partial.header, partial.start);
  }
  if (partial.length < sizeof(std::uint32_t)) return {};
  partial.header.total_length = load<std::uint32_t>(partial.bytes.data());
  return check_record_length(partial.header.total_length, partial.start);
}

Result<void> WalDecoder::Impl::finish_partial(Lsn behind) {
  const auto crc = crc32c(ByteView(partial.bytes).first(kBytesBeforeCrc), partial.body_crc);
  if (crc != partial.header.crc) return bad_record(partial.start, "CRC is wrong");
  TRY(deliver({partial.start, align_up(behind), page_timeline, major, partial.header,
               ByteView(partial.bytes)}));
  drop_partial();
  return {};
}

void WalDecoder::Impl::drop_partial() {
  Bytes buffer = std::move(partial.bytes);
  buffer.clear();
  if (buffer.capacity() > kIdleBufferBytes) buffer = Bytes();
  partial = Partial();
  partial.bytes = std::move(buffer);
}

Result<void> WalDecoder::Impl::check_record_length(std::uint32_t length, Lsn start) {
  if (length == 0) return bad_record(start, "length is zero: nothing was written here");
  if (length < kRecordHeaderSize || length > max_record_length(major)) {
    return bad_record(start, fmt::format("length {} is impossible", length));
  }
  return {};
}

Result<void> WalDecoder::Impl::check_record_header(const RecordHeader& header, Lsn start) {
  if (header.total_length < kRecordHeaderSize || header.total_length > max_record_length(major))
      [[unlikely]] {
    return check_record_length(header.total_length, start);
  }
  if (!is_valid_rmgr(header.rmgr, major)) [[unlikely]] {
    return bad_record(start, fmt::format("resource manager id {} is unknown", header.rmgr));
  }
  if (!last_record.is_none()) [[likely]] {
    if (header.previous == last_record) [[likely]]
      return {};
    return bad_record(start, fmt::format("prev-link is {}, expected {}", to_string(header.previous),
                                         to_string(last_record)));
  }
  // Nothing is known of the record before: at least it has to be before, and outside where the
  // unresolved one is.
  const Lsn limit = head_unresolved && !overwrite_expected ? start_position : start;
  if (header.previous >= limit || header.previous.value() % kRecordAlignment != 0) {
    return bad_record(start, fmt::format("prev-link {} is impossible", to_string(header.previous)));
  }
  return {};
}

Result<void> WalDecoder::Impl::check_overwrite(const Record& record) {
  const auto named = TRY(parse_overwrite_contrecord(record));
  if (named.has_value() != overwrite_expected) {
    return bad_record(record.start,
                      named ? "it gives up an unfinished record, but its page does not say so"
                            : "its page gives up an unfinished record, but it does not");
  }
  overwrite_expected = false;
  if (!overwritten.is_none() && *named != overwritten) {
    return bad_record(record.start,
                      fmt::format("it gives up the record at {}, but {} was unfinished",
                                  to_string(*named), to_string(overwritten)));
  }
  return {};
}

Result<void> WalDecoder::Impl::deliver(const Record& record) {
  const bool is_xlog = record.header.rmgr == kRmXlog;
  if (overwrite_expected || (is_xlog && is_overwrite_contrecord(record.header))) [[unlikely]] {
    TRY(check_overwrite(record));
  }
  if (first_record.is_none()) {
    first_record = record.start;
    first_record_previous = record.header.previous;
    first_record_linked = !last_record.is_none() || record.header.previous.is_none();
  }
  last_record = record.start;
  last_record_end = record.end;
  skip_to = record.end;
  if (is_xlog && is_switch(record.header)) {
    skip_to = options.segment_size.round_down(record.end + (options.segment_size.bytes() - 1));
  }
  if (sink) return sink(record);
  return {};
}

}  // namespace pitr::wal
