// Writes WAL as PostgreSQL 13 to 18 do, record by record, into memory: for tests that need WAL
// without a server. Header-only, so that tests of other folders can use it too.
//
//   WalBuilder wal({.major = 17, .segment_size = must(SegmentSize::from_bytes(1 << 20))});
//   const auto commit = wal.commit(730, time);
//   wal.switch_segment();
//   Bytes first = wal.segment(wal.first_segment());
//
// It knows nothing of what the decoder makes of it: the page and record layout is written down a
// second time here, from the server's sources. Not thread-safe.
#pragma once

#include <algorithm>
#include <string_view>
#include <vector>

#include "common/bytes.h"
#include "common/clock.h"
#include "postgres/crc32c.h"
#include "postgres/lsn.h"

namespace pitr::test {

struct WalBuilderOptions {
  int major = 15;
  SegmentSize segment_size = SegmentSize::from_bytes(1 << 20).value();
  std::uint64_t system_identifier = 0x6000'1234'5678'9ABC;
  TimelineId timeline{1};
  std::uint64_t first_segment = 1;
  Lsn previous = {};  // what the first record's prev-link says
};

struct BuiltRecord {
  Lsn start;
  Lsn end;  // rounded up to 8
  Lsn previous;
  std::uint8_t rmgr = 0;
  std::uint8_t info = 0;
  std::uint32_t xid = 0;
  Bytes bytes;
};

class WalBuilder {
 public:
  explicit WalBuilder(WalBuilderOptions options = {})
      : options_(options),
        base_(options.segment_size.start_of(options.first_segment)),
        previous_(options.previous),
        timeline_(options.timeline) {}

  const WalBuilderOptions& options() const { return options_; }
  std::uint64_t first_segment() const { return options_.first_segment; }
  std::uint64_t last_segment() const {
    return options_.segment_size.number_of(position() - std::uint64_t{bytes_.empty() ? 0u : 1u});
  }
  Lsn start() const { return base_; }
  Lsn position() const { return base_ + bytes_.size(); }
  const Bytes& bytes() const { return bytes_; }
  const std::vector<BuiltRecord>& records() const { return records_; }

  // The whole segment, zeros behind what was written.
  Bytes segment(std::uint64_t number) const {
    Bytes segment(options_.segment_size.bytes());
    const std::size_t from = options_.segment_size.start_of(number) - base_;
    const std::size_t size =
        std::min(segment.size(), bytes_.size() - std::min(from, bytes_.size()));
    if (size > 0)
      std::copy_n(bytes_.begin() + static_cast<std::ptrdiff_t>(from), size, segment.begin());
    return segment;
  }

  // ---- Records; each returns its own description (valid until the next one)

  // body: everything behind the record header (fragment headers and data).
  const BuiltRecord& append(std::uint8_t rmgr, std::uint8_t info, std::uint32_t xid,
                            ByteView body) {
    align();
    begin_page_if_due(0);
    BuiltRecord record{
        position(), {}, previous_, rmgr, info, xid, record_bytes(rmgr, info, xid, body)};
    write(record.bytes, record.bytes.size());
    record.end = Lsn((position().value() + 7) / 8 * 8);
    previous_ = record.start;
    records_.push_back(std::move(record));
    return records_.back();
  }

  const BuiltRecord& append_data(std::uint8_t rmgr, std::uint8_t info, std::uint32_t xid,
                                 ByteView main_data) {
    return append(rmgr, info, xid, with_main_data(main_data));
  }

  // A record that means nothing to anybody here (a logical message), of this total length: at
  // least 26; 282 to 284 can't be made.
  const BuiltRecord& filler(std::size_t length) {
    const std::size_t header = length <= 24 + 2 + 255 ? 2 : 5;
    Bytes data(length - 24 - header);
    for (auto& byte : data) byte = next_byte();
    return append_data(21, 0, 0, data);
  }

  // Filler of such a length that the next record starts at target: a multiple of 8 that is not in
  // a page header, at least 32 bytes of content ahead.
  void fill_to(Lsn target) {
    align();
    begin_page_if_due(0);
    const std::size_t content = content_between(position(), target);
    if (content >= 280 && content <= 288) {
      filler(64);
      return fill_to(target);
    }
    filler(content);
    begin_page_if_due(0);
  }

  const BuiltRecord& commit(std::uint32_t xid, Timestamp time) { return xact_end(0x00, xid, time); }
  const BuiltRecord& abort(std::uint32_t xid, Timestamp time) { return xact_end(0x20, xid, time); }
  // With every list that can stand before the transaction's id.
  const BuiltRecord& commit_prepared(std::uint32_t xid, Timestamp time) {
    return prepared_end(0x30, xid, time);
  }
  const BuiltRecord& abort_prepared(std::uint32_t xid, Timestamp time) {
    return prepared_end(0x40, xid, time);
  }

  const BuiltRecord& restore_point(std::string_view name, Timestamp time) {
    ByteWriter data;
    data.u64(static_cast<std::uint64_t>(time.postgres_us()));
    Bytes field(64);
    std::copy(name.begin(), name.end(), field.begin());
    data.raw(field);
    return append_data(0, 0x70, 0, data.bytes());
  }

  const BuiltRecord& checkpoint(bool is_shutdown, Lsn redo) {
    ByteWriter data;
    data.u64(redo.value());
    data.u32(timeline_.value());
    data.u32(timeline_.value());
    data.raw(Bytes(72));
    return append_data(0, is_shutdown ? 0x00 : 0x10, 0, data.bytes());
  }

  const BuiltRecord& backup_end(Lsn backup_start) {
    ByteWriter data;
    data.u64(backup_start.value());
    return append_data(0, 0x50, 0, data.bytes());
  }

  const BuiltRecord& parameter_change(std::uint32_t wal_level, bool wal_log_hints = false) {
    ByteWriter data;
    for (std::uint32_t value = 1; value <= 5; ++value) data.u32(value);
    data.u32(wal_level);
    data.u8(wal_log_hints ? 1 : 0);
    data.u8(0);
    return append_data(0, 0x60, 0, data.bytes());
  }

  // Then the rest of the segment is zeros.
  const BuiltRecord& switch_segment() {
    append(0, 0x40, 0, {});
    const auto rest = options_.segment_size.bytes() - options_.segment_size.offset_of(position());
    if (rest != options_.segment_size.bytes()) bytes_.resize(bytes_.size() + rest);
    return records_.back();
  }

  // A promotion: pages that begin from here on carry the new timeline, and a record says so.
  const BuiltRecord& switch_timeline(TimelineId timeline, Timestamp time) {
    ByteWriter data;
    data.u64(static_cast<std::uint64_t>(time.postgres_us()));
    data.u32(timeline.value());
    data.u32(timeline_.value());
    if (options_.major >= 17) data.u32(1);
    timeline_ = timeline;
    return append_data(0, 0x90, 0, data.bytes());
  }

  // A crash while a record of this length was written: it ends with the last page that was
  // flushed (at least one byte of it must be missing), and what the restarted server writes first
  // says that it will never be finished. Returns where it began.
  Lsn crash_inside_record(std::size_t length, std::size_t flushed_pages = 0) {
    align();
    begin_page_if_due(0);
    const Lsn start = position();
    const Bytes whole = record_bytes(21, 0, 0, with_main_data(Bytes(length - 29, 0x5A)));
    const std::size_t to_page_end = 8192 - position().value() % 8192;
    std::size_t written = to_page_end;
    for (std::size_t page = 0; page < flushed_pages; ++page) {
      const bool starts_segment =
          options_.segment_size.offset_of(start + to_page_end + page * 8192) == 0;
      written += 8192 - (starts_segment ? 40 : 24);
    }
    write(ByteView(whole).first(written), whole.size());
    begin_page(0, /*flags=*/0x08);
    ByteWriter data;
    data.u64(start.value());
    data.u64(0);
    append_data(0, 0xD0, 0, data.bytes());
    return start;
  }

  // Heap insert into one block, with so many bytes of tuple data.
  const BuiltRecord& heap_insert(std::uint32_t xid, std::uint32_t relation, std::uint32_t block,
                                 std::uint16_t data_bytes) {
    ByteWriter body;
    body.u8(0);     // block id
    body.u8(0x20);  // main fork, has data
    body.u16(data_bytes);
    body.u32(1663);
    body.u32(5);
    body.u32(relation);
    body.u32(block);
    body.u8(255);
    body.u8(3);
    body.raw(Bytes(data_bytes, 0x11));
    body.raw(Bytes(3, 0x22));
    return append(10, 0x00, xid, body.bytes());
  }

  static Bytes with_main_data(ByteView data) {
    ByteWriter body;
    if (data.size() < 256) {
      if (!data.empty()) {
        body.u8(255);
        body.u8(static_cast<std::uint8_t>(data.size()));
      }
    } else {
      body.u8(254);
      body.u32(static_cast<std::uint32_t>(data.size()));
    }
    body.raw(data);
    return body.take();
  }

 private:
  std::uint16_t magic() const {
    static constexpr std::uint16_t kMagics[] = {0xD106, 0xD10D, 0xD110, 0xD113, 0xD116, 0xD118};
    return kMagics[options_.major - 13];
  }

  std::uint8_t next_byte() {
    noise_ = noise_ * 6364136223846793005u + 1442695040888963407u;
    return static_cast<std::uint8_t>(noise_ >> 56);
  }

  void align() { bytes_.resize((bytes_.size() + 7) / 8 * 8); }

  void begin_page_if_due(std::uint32_t remaining) {
    if (position().value() % 8192 == 0) begin_page(remaining, remaining > 0 ? 0x01 : 0x00);
  }

  void begin_page(std::uint32_t remaining, std::uint16_t flags) {
    const Lsn address = position();
    const bool is_long = options_.segment_size.offset_of(address) == 0;
    ByteWriter page;
    page.u16(magic());
    page.u16(static_cast<std::uint16_t>(flags | (is_long ? 0x02 : 0) | 0x04));
    page.u32(timeline_.value());
    page.u64(address.value());
    page.u32(remaining);
    page.u32(0);
    if (is_long) {
      page.u64(options_.system_identifier);
      page.u32(static_cast<std::uint32_t>(options_.segment_size.bytes()));
      page.u32(8192);
    }
    bytes_.insert(bytes_.end(), page.bytes().begin(), page.bytes().end());
  }

  // total: of the record, of which bytes may be only the beginning.
  void write(ByteView bytes, std::size_t total) {
    while (!bytes.empty()) {
      begin_page_if_due(static_cast<std::uint32_t>(total));
      const auto size = std::min<std::size_t>(bytes.size(), 8192 - position().value() % 8192);
      bytes_.insert(bytes_.end(), bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size));
      bytes = bytes.subspan(size);
      total -= size;
    }
  }

  std::size_t content_between(Lsn from, Lsn to) const {
    std::size_t content = 0;
    while (from < to) {
      if (from.value() % 8192 == 0) {
        from = from + (options_.segment_size.offset_of(from) == 0 ? 40u : 24u);
        continue;
      }
      const Lsn page_end((from.value() / 8192 + 1) * 8192);
      content += std::min(to, page_end) - from;
      from = std::min(to, page_end);
    }
    return content;
  }

  Bytes record_bytes(std::uint8_t rmgr, std::uint8_t info, std::uint32_t xid, ByteView body) const {
    ByteWriter record;
    record.u32(static_cast<std::uint32_t>(24 + body.size()));
    record.u32(xid);
    record.u64(previous_.value());
    record.u8(info);
    record.u8(rmgr);
    record.u16(0);
    const auto crc = crc32c(record.bytes(), crc32c(body));
    record.u32(crc);
    record.raw(body);
    return record.take();
  }

  const BuiltRecord& xact_end(std::uint8_t info, std::uint32_t xid, Timestamp time) {
    ByteWriter data;
    data.u64(static_cast<std::uint64_t>(time.postgres_us()));
    return append_data(1, info, xid, data.bytes());
  }

  const BuiltRecord& prepared_end(std::uint8_t info, std::uint32_t xid, Timestamp time) {
    const bool is_commit = info == 0x30;
    const bool has_stats = options_.major >= 15;
    ByteWriter data;
    data.u64(static_cast<std::uint64_t>(time.postgres_us()));
    data.u32(0x01 | 0x02 | 0x04 | (is_commit ? 0x08u : 0u) | 0x10 | 0x80 |
             (has_stats ? 0x100u : 0u));
    data.u64(5);  // database and tablespace
    const auto list = [&](std::uint32_t count, std::size_t item_bytes) {
      data.u32(count);
      data.raw(Bytes(count * item_bytes, 0x77));
    };
    list(3, 4);   // subtransactions
    list(2, 12);  // dropped relations
    if (has_stats) list(2, options_.major >= 18 ? 16 : 12);
    if (is_commit) list(4, 16);  // invalidations
    data.u32(xid);
    data.raw(as_bytes(std::string_view("name\0", 5)));
    return append_data(1, info | 0x80, 0, data.bytes());
  }

  WalBuilderOptions options_;
  Lsn base_;
  Lsn previous_;
  TimelineId timeline_;
  Bytes bytes_;
  std::vector<BuiltRecord> records_;
  std::uint64_t noise_ = 42;
};

}  // namespace pitr::test
