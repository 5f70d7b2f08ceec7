// Arbitrary bytes as WAL, as the carry into it, as segment facts and as changed blocks: nothing may
// crash, and no memory beyond the limits may be taken. The first byte chooses; CRCs are made right
// where a record lies whole within a page, so that the parsers behind the check are reached.
#include <algorithm>
#include <cstdlib>

#include "postgres/wal/record_changes.h"
#include "postgres/wal/segment_facts.h"
#include "postgres/wal/xact_scan.h"

namespace pitr::wal {
namespace {

Result<void> parse_everything(const Record& record) {
  // Errors are the expected answer to most inputs.
  (void)parse_fragments(record);
  (void)parse_xact_end(record);
  (void)parse_restore_point(record);
  (void)parse_checkpoint(record);
  (void)parse_end_of_recovery(record);
  (void)parse_backup_end(record);
  (void)parse_parameter_change(record);
  (void)parse_overwrite_contrecord(record);
  (void)parse_dropped_relations(record);
  ChangedBlocks changed;
  add_changes(record, changed);
  return {};
}

void fuzz_record(ByteView bytes, int major) {
  if (bytes.size() < kRecordHeaderSize) return;
  Record record;
  record.major = major;
  record.header = parse_record_header(bytes);
  // Whole, or cut: both happen.
  if (record.header.total_length < bytes.size()) {
    record.header.total_length = static_cast<std::uint32_t>(bytes.size());
  }
  record.bytes = bytes;
  (void)parse_everything(record);
}

// Writes page headers and the records' CRCs and prev-links over the bytes.
Bytes make_plausible(ByteView bytes, int major, DecoderOptions& options) {
  Bytes wal(bytes.begin(), bytes.end());
  const Lsn start = options.segment_size.start_of(1);
  const auto magic = *magic_of_major(major);
  std::uint64_t previous = 0;
  std::size_t at = 0;
  while (at + kLongHeaderSize < wal.size()) {
    if (at % kPageSize == 0) {
      store<std::uint16_t>(wal.data() + at, magic);
      store<std::uint16_t>(wal.data() + at + 2, at == 0 ? 2 : 0);
      store<std::uint32_t>(wal.data() + at + 4, 1);
      store<std::uint64_t>(wal.data() + at + 8, start.value() + at);
      store<std::uint32_t>(wal.data() + at + 16, 0);
      if (at == 0) {
        store<std::uint32_t>(wal.data() + 32, 1u << 20);
        store<std::uint32_t>(wal.data() + 36, kPageSize);
      }
      at += at == 0 ? kLongHeaderSize : kShortHeaderSize;
    }
    if (wal.size() - at < kRecordHeaderSize) break;
    const std::size_t room = std::min(wal.size(), (at / kPageSize + 1) * kPageSize) - at;
    if (room < kRecordHeaderSize) break;
    const std::size_t length =
        std::clamp<std::size_t>(load<std::uint16_t>(wal.data() + at), kRecordHeaderSize, room);
    store<std::uint32_t>(wal.data() + at, static_cast<std::uint32_t>(length));
    store<std::uint64_t>(wal.data() + at + 8, previous);
    wal[at + 17] %= 22;
    store<std::uint32_t>(wal.data() + at + 20, record_crc(ByteView(wal).subspan(at, length)));
    previous = start.value() + at;
    at = (at + length + 7) / 8 * 8;
  }
  return wal;
}

void fuzz_stream(ByteView bytes, std::uint8_t choice) {
  DecoderOptions options;
  options.segment_size = *SegmentSize::from_bytes(1 << 20);
  options.timeline = TimelineId(1);
  options.kept_record_bytes = kPageSize;
  const Lsn start = options.segment_size.start_of(1);
  Bytes plausible;
  if ((choice & 1) != 0) {
    plausible = make_plausible(bytes, 13 + choice / 2 % 6, options);
    bytes = plausible;
  }
  (void)decode_valid_prefix(options, start, std::nullopt, bytes, parse_everything);

  // Pieces give what the whole gives.
  std::uint64_t whole = 0;
  std::uint64_t pieces = 0;
  FactsCollector collector({options.timeline, 1}, options.segment_size);
  const auto whole_end = decode_valid_prefix(options, start, std::nullopt, bytes,
                                             [&](const Record& record) -> Result<void> {
                                               whole += record.start.value();
                                               return {};
                                             });
  auto decoder =
      WalDecoder::start(options, start, std::nullopt, [&](const Record& record) -> Result<void> {
        pieces += record.start.value();
        (void)collector.add(record);
        return {};
      });
  const std::size_t piece = 1 + choice * 3u;
  for (std::size_t from = 0; from < bytes.size(); from += piece) {
    if (!decoder->push(bytes.subspan(from, std::min(piece, bytes.size() - from)))) break;
  }
  if (whole_end && (whole != pieces || whole_end->last_record != decoder->last_record())) abort();

  // Facts of whatever it was come back as they were.
  const auto encoded = encode_facts(collector.finish(*decoder));
  const auto decoded = decode_facts(encoded);
  if (!decoded || encode_facts(*decoded) != encoded) abort();
}

void fuzz_facts(ByteView bytes) {
  const auto facts = decode_facts(bytes);
  if (!facts) return;
  const auto encoded = encode_facts(*facts);
  const auto again = decode_facts(encoded);
  if (!again || encode_facts(*again) != encoded) abort();
}

// What is accepted has the meaning that its encoding has.
void fuzz_changes(ByteView bytes) {
  const auto limits = ChangedBlocks::Limits{.relations = 10'000, .blocks = 1'000'000};
  ByteReader in(bytes);
  const auto changed = ChangedBlocks::decode(in, Lsn(1 << 20), limits);
  if (!changed) return;
  ByteWriter encoded;
  changed->encode(encoded, Lsn(1 << 20));
  ByteReader again(encoded.bytes());
  auto decoded = ChangedBlocks::decode(again, Lsn(1 << 20), limits);
  if (!decoded || !again.at_end() || decoded->marked_blocks() != changed->marked_blocks()) abort();
  decoded->merge(*changed);
  ByteWriter merged;
  decoded->encode(merged, Lsn(1 << 20));
  if (merged.bytes() != encoded.bytes()) abort();
  for (const auto& id : changed->relations()) (void)changed->wanted(id, 0);
}

}  // namespace
}  // namespace pitr::wal

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const pitr::ByteView bytes(data + 2, size - 2);
  switch (data[0] % 4) {
    case 0:
      pitr::wal::fuzz_record(bytes, 13 + data[1] % 6);
      break;
    case 1:
      pitr::wal::fuzz_stream(bytes, data[1]);
      break;
    case 2:
      pitr::wal::fuzz_changes(bytes);
      break;
    default:
      pitr::wal::fuzz_facts(bytes);
  }
  return 0;
}
