// The working parts of WalDecoder, for its own .cc files alone: decoder.cc (the class, borders),
// decoder_pages.cc (page headers) and decoder_records.cc (what lies between them).
#pragma once

#include <array>
#include <string>

#include "postgres/wal/decoder.h"

namespace pitr::wal {

inline Lsn align_up(Lsn lsn) {
  return Lsn((lsn.value() + kRecordAlignment - 1) / kRecordAlignment * kRecordAlignment);
}

// XLogRecordMaxSize since 16; before, what the reader could allocate.
inline std::uint32_t max_record_length(int major) {
  return major >= 16 ? 1020u << 20 : (1u << 30) - 1;
}

struct WalDecoder::Impl {
  // A record whose end was not seen yet.
  struct Partial {
    Lsn start;  // 0: none
    Bytes bytes;
    std::uint32_t length = 0;  // seen so far; bytes holds kept_record_bytes of them at most
    std::uint32_t body_crc = 0;
    RecordHeader header;  // once length reaches kRecordHeaderSize; total_length as soon as known

    bool exists() const { return !start.is_none(); }
  };

  Impl(const DecoderOptions& the_options, Lsn start, RecordSink the_sink)
      : options(the_options), sink(std::move(the_sink)), position(start), start_position(start) {}

  Result<void> push(ByteView bytes);
  Result<void> adopt(Carry carry);
  Carry make_carry() const;

  Result<std::size_t> take_page_header(ByteView bytes);
  Result<void> check_page(const PageHeader& page, Lsn at);
  Result<void> check_segment(const PageHeader& page, Lsn at);
  Result<void> check_page_timeline(const PageHeader& page, Lsn at);
  Result<void> check_continuation(const PageHeader& page, Lsn at);

  Result<std::size_t> take_page_content(ByteView bytes);
  Result<std::size_t> take_whole_records(ByteView bytes);
  Result<std::size_t> take_partial(ByteView bytes);
  std::size_t take_head(ByteView bytes);
  Result<void> take_partial_header();
  Result<void> finish_partial(Lsn behind);
  void drop_partial();

  Result<void> check_record_length(std::uint32_t length, Lsn start);
  Result<void> check_record_header(const RecordHeader& header, Lsn start);
  Result<void> check_overwrite(const Record& record);
  Result<void> deliver(const Record& record);

  bool starts_segment(Lsn at) const { return options.segment_size.offset_of(at) == 0; }
  std::size_t header_size(Lsn page) const {
    return starts_segment(page) ? kLongHeaderSize : kShortHeaderSize;
  }
  Error bad_page(Lsn at, std::string check);
  Error bad_record(Lsn at, std::string check);

  const DecoderOptions options;
  const RecordSink sink;
  Lsn position;
  const Lsn start_position;
  // Bytes before it are nothing to look at: padding, or what follows a switch, page headers too.
  Lsn skip_to;

  std::array<std::uint8_t, kLongHeaderSize> header_bytes{};
  std::uint16_t magic = 0;
  int major = 0;
  std::uint64_t system_identifier = 0;
  TimelineId page_timeline;

  Partial partial;
  bool has_carry = false;
  bool head_unresolved = false;
  std::uint32_t head_left = 0;
  Lsn head_end;

  // After a page that overwrites: what its first record must name (0: any).
  bool overwrite_expected = false;
  Lsn overwritten;

  Lsn first_record;
  Lsn first_record_previous;
  bool first_record_linked = false;
  Lsn last_record;
  Lsn last_record_end;

  bool failed = false;
  Lsn stopped_at;
  std::string stopped_by;
};

}  // namespace pitr::wal
