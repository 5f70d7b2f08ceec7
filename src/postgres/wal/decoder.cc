#include "postgres/wal/decoder.h"

#include <fmt/format.h>

#include <algorithm>

#include "postgres/wal/decoder_impl.h"

namespace pitr::wal {

Error WalDecoder::Impl::bad_page(Lsn at, std::string check) {
  stopped_at = at;
  stopped_by = std::move(check);
  return Error::corrupt(fmt::format("WAL page at {}: {}", to_string(at), stopped_by));
}

Error WalDecoder::Impl::bad_record(Lsn at, std::string check) {
  stopped_at = at;
  stopped_by = std::move(check);
  return Error::corrupt(fmt::format("WAL record at {}: {}", to_string(at), stopped_by));
}

Result<void> WalDecoder::Impl::push(ByteView bytes) {
  while (!bytes.empty()) {
    std::size_t used = 0;
    if (position < skip_to) {
      used = std::min<std::uint64_t>(bytes.size(), skip_to - position);
    } else {
      const std::size_t offset = position.value() % kPageSize;
      if (offset < header_size(position - offset)) {
        used = TRY(take_page_header(bytes));
      } else {
        used = TRY(take_page_content(bytes.first(std::min(bytes.size(), kPageSize - offset))));
      }
    }
    position = position + used;
    bytes = bytes.subspan(used);
  }
  return {};
}

Result<void> WalDecoder::Impl::adopt(Carry carry) {
  if (carry.position != position) {
    return Error::invalid(fmt::format("WAL that crosses {} was given for a start at {}",
                                      to_string(carry.position), to_string(position)));
  }
  if (carry.timeline > options.timeline) {
    return Error::invalid(fmt::format("WAL of timeline {} cannot go on as timeline {}",
                                      to_string(carry.timeline), to_string(options.timeline)));
  }
  has_carry = true;
  last_record = carry.last_record;
  last_record_end = carry.last_record_end;
  page_timeline = carry.timeline;
  head_left = carry.unresolved_length;
  head_unresolved = head_left > 0;
  if (carry.partial_start.is_none()) return {};

  partial.start = carry.partial_start;
  partial.bytes = std::move(carry.partial_bytes);
  partial.length = carry.partial_length;
  partial.body_crc = carry.partial_body_crc;
  const auto known = std::min<std::size_t>(partial.length, kRecordHeaderSize);
  if (partial.bytes.size() < known || partial.length < sizeof(std::uint32_t)) {
    return Error::invalid("the beginning of a record that crosses segments is incomplete");
  }
  partial.header.total_length = load<std::uint32_t>(partial.bytes.data());
  if (known == kRecordHeaderSize) partial.header = parse_record_header(partial.bytes);
  if (partial.length >= partial.header.total_length) {
    return Error::invalid("a record that crosses segments is complete already");
  }
  return {};
}

Carry WalDecoder::Impl::make_carry() const {
  return {.position = position,
          .last_record = last_record,
          .last_record_end = last_record_end,
          .timeline = page_timeline,
          .partial_start = partial.start,
          .partial_bytes = partial.bytes,
          .partial_length = partial.length,
          .partial_body_crc = partial.body_crc,
          .unresolved_length = head_left};
}

WalDecoder::WalDecoder(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
WalDecoder::WalDecoder(WalDecoder&&) noexcept = default;
WalDecoder& WalDecoder::operator=(WalDecoder&&) noexcept = default;
WalDecoder::~WalDecoder() = default;

Result<WalDecoder> WalDecoder::start(const DecoderOptions& options, Lsn start,
                                     std::optional<Carry> carry, RecordSink sink) {
  if (options.segment_size.offset_of(start) != 0) {
    return Error::invalid(
        fmt::format("decoding cannot start at {}, inside a segment", to_string(start)));
  }
  if (options.kept_record_bytes < kPageSize) {
    return Error::invalid(
        fmt::format("{} bytes are too few to keep of a record", options.kept_record_bytes));
  }
  auto impl = std::make_unique<Impl>(options, start, std::move(sink));
  impl->system_identifier = options.system_identifier;
  if (carry) TRY(impl->adopt(std::move(*carry)));
  return WalDecoder(std::move(impl));
}

Result<void> WalDecoder::push(ByteView bytes) {
  if (impl_->failed) return Error::internal("WAL was pushed to a decoder that had failed");
  auto pushed = impl_->push(bytes);
  impl_->failed = !pushed.has_value();
  return pushed;
}

Result<void> WalDecoder::push(Lsn at, ByteView bytes) {
  if (at != position()) {
    return Error::invalid(fmt::format("WAL at {} was pushed where {} comes next", to_string(at),
                                      to_string(position())));
  }
  return push(bytes);
}

Result<Carry> WalDecoder::carry() const {
  if (impl_->failed || !impl_->starts_segment(impl_->position)) {
    return Error::internal(
        fmt::format("nothing can be carried on from {}", to_string(impl_->position)));
  }
  return impl_->make_carry();
}

Lsn WalDecoder::position() const {
  return impl_->position;
}
bool WalDecoder::head_unresolved() const {
  return impl_->head_unresolved;
}
Lsn WalDecoder::head_end() const {
  return impl_->head_end;
}
Lsn WalDecoder::first_record() const {
  return impl_->first_record;
}
Lsn WalDecoder::first_record_previous() const {
  return impl_->first_record_previous;
}
bool WalDecoder::first_record_linked() const {
  return impl_->first_record_linked;
}
Lsn WalDecoder::last_record() const {
  return impl_->last_record;
}
Lsn WalDecoder::last_record_end() const {
  return impl_->last_record_end;
}
Lsn WalDecoder::partial_record() const {
  return impl_->partial.start;
}
std::uint16_t WalDecoder::page_magic() const {
  return impl_->magic;
}
std::uint64_t WalDecoder::system_identifier() const {
  return impl_->system_identifier;
}
Lsn WalDecoder::stopped_at() const {
  return impl_->stopped_at;
}
const std::string& WalDecoder::stopped_by() const {
  return impl_->stopped_by;
}

ValidEnd valid_end(const WalDecoder& decoder) {
  const bool stopped = !decoder.stopped_by().empty();
  return {.last_record = decoder.last_record(),
          .last_record_end = decoder.last_record_end(),
          .partial_record = stopped ? Lsn() : decoder.partial_record(),
          .reached_end = !stopped,
          .stopped_at = decoder.stopped_at(),
          .stopped_by = decoder.stopped_by()};
}

Result<ValidEnd> decode_valid_prefix(const DecoderOptions& options, Lsn start,
                                     std::optional<Carry> carry, ByteView bytes,
                                     const RecordSink& sink) {
  auto started = WalDecoder::start(options, start, std::move(carry), sink);
  auto decoder = TRY(std::move(started));
  auto pushed = decoder.push(bytes);
  if (!pushed && decoder.stopped_by().empty()) return Error(std::move(pushed).error());
  return valid_end(decoder);
}

}  // namespace pitr::wal
