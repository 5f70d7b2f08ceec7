#include "postgres/wal/record.h"

#include <fmt/format.h>

#include "postgres/crc32c.h"

namespace pitr::wal {
namespace {

// Fragment header ids (src/include/access/xlogrecord.h).
constexpr std::uint8_t kMaxBlockId = 32;
constexpr std::uint8_t kTopLevelXid = 252;  // 14+
constexpr std::uint8_t kOrigin = 253;
constexpr std::uint8_t kMainDataLong = 254;
constexpr std::uint8_t kMainDataShort = 255;

constexpr std::uint8_t kForkMask = 0x0F;
constexpr std::uint8_t kHasImage = 0x10;
constexpr std::uint8_t kHasData = 0x20;
constexpr std::uint8_t kSameRelation = 0x80;

constexpr std::uint8_t kImageHasHole = 0x01;
constexpr std::uint8_t kImageCompressed13 = 0x02;
constexpr std::uint8_t kImageCompressed15 = 0x04 | 0x08 | 0x10;  // pglz, lz4, zstd

constexpr std::uint8_t kLastBuiltInRmgr = 21;  // logical messages
constexpr std::uint8_t kFirstCustomRmgr = 128;

bool image_is_compressed(std::uint8_t image_info, int major) {
  return (image_info & (major >= 15 ? kImageCompressed15 : kImageCompressed13)) != 0;
}

}  // namespace

RecordHeader parse_record_header(ByteView record) {
  const auto* at = record.data();
  RecordHeader header;
  header.total_length = load<std::uint32_t>(at);
  header.xid = load<std::uint32_t>(at + 4);
  header.previous = Lsn(load<std::uint64_t>(at + 8));
  header.info = at[16];
  header.rmgr = at[17];
  header.crc = load<std::uint32_t>(at + 20);
  return header;
}

bool is_valid_rmgr(std::uint8_t rmgr, int major) {
  return rmgr <= kLastBuiltInRmgr || (rmgr >= kFirstCustomRmgr && major >= 15);
}

std::uint32_t record_crc(ByteView record) {
  return crc32c(record.first(kRecordHeaderSize - sizeof(std::uint32_t)),
                crc32c(record.subspan(kRecordHeaderSize)));
}

FragmentReader::FragmentReader(const Record& record)
    : record_(record),
      at_(record.bytes.data() + kRecordHeaderSize),
      end_(record.bytes.data() + record.bytes.size()) {}

Error FragmentReader::malformed(std::string_view what) const {
  return Error::corrupt(
      fmt::format("WAL record at {}: {}, though its CRC is right", to_string(record_.start), what));
}

template <typename T>
T FragmentReader::take() {
  const T value = load<T>(at_);
  at_ += sizeof(T);
  return value;
}

// Headers go on until what they announce fills the rest of the record; nothing else ends them.
// This runs for every record of a WAL stream: bounds are checked once per header.
Result<std::optional<BlockReference>> FragmentReader::next_block() {
  while (!past_headers_) {
    const auto consumed = static_cast<std::uint64_t>(at_ - record_.bytes.data());
    if (consumed + data_bytes_ >= record_.header.total_length) {
      if (consumed + data_bytes_ > record_.header.total_length) {
        return malformed("its fragments are longer than it is");
      }
      past_headers_ = true;
      break;
    }
    if (!has(1)) return cut_off();
    const auto id = take<std::uint8_t>();
    if (id <= kMaxBlockId) return read_block(id);
    if (id == kMainDataShort) {
      if (!has(1)) return cut_off();
      if (!announce_main_data(take<std::uint8_t>())) return announced_twice();
    } else if (id == kMainDataLong) {
      if (!has(4)) return cut_off();
      if (!announce_main_data(take<std::uint32_t>())) return announced_twice();
    } else if (id == kOrigin) {
      if (!has(2)) return cut_off();
      at_ += 2;
    } else if (id == kTopLevelXid && record_.major >= 14) {
      if (!has(4)) return cut_off();
      at_ += 4;
    } else {
      return malformed(fmt::format("fragment id {} is unknown", id));
    }
  }
  return std::optional<BlockReference>();
}

bool FragmentReader::announce_main_data(std::uint32_t size_bytes) {
  if (main_data_bytes_ != 0) return false;
  main_data_bytes_ = size_bytes;
  data_bytes_ += size_bytes;
  return true;
}

Result<std::optional<BlockReference>> FragmentReader::read_block(std::uint8_t id) {
  if (id <= last_block_id_) return malformed(fmt::format("block id {} is out of order", id));
  last_block_id_ = id;
  if (!has(3)) return cut_off();
  const auto flags = take<std::uint8_t>();
  const auto data_length = take<std::uint16_t>();
  if (((flags & kHasData) != 0) != (data_length != 0)) {
    return malformed("a block's data flag and its length disagree");
  }
  data_bytes_ += data_length;
  if ((flags & kHasImage) != 0) {
    if (!has(5)) return cut_off();
    data_bytes_ += take<std::uint16_t>();
    at_ += 2;  // hole offset
    const auto image_info = take<std::uint8_t>();
    if ((image_info & kImageHasHole) != 0 && image_is_compressed(image_info, record_.major)) {
      if (!has(2)) return cut_off();
      at_ += 2;  // hole length; otherwise it is what the image lacks to a page
    }
  }

  if ((flags & kSameRelation) == 0) {
    if (!has(12)) return cut_off();
    last_block_.tablespace = take<std::uint32_t>();
    last_block_.database = take<std::uint32_t>();
    last_block_.relation = take<std::uint32_t>();
    has_relation_ = true;
  } else if (!has_relation_) {
    return malformed("its first block has no relation");
  }
  if (!has(4)) return cut_off();
  last_block_.fork = flags & kForkMask;
  last_block_.block = take<std::uint32_t>();
  return std::optional(last_block_);
}

Result<ByteView> FragmentReader::main_data() {
  while (TRY(next_block())) {
  }
  // Main data comes last: before it only blocks' images and data.
  const std::uint64_t from = record_.header.total_length - main_data_bytes_;
  if (from >= record_.bytes.size()) return ByteView();
  return record_.bytes.subspan(from);
}

Result<Fragments> parse_fragments(const Record& record) {
  FragmentReader reader(record);
  Fragments fragments;
  while (auto block = TRY(reader.next_block())) fragments.blocks.push_back(*block);
  fragments.main_data = TRY(reader.main_data());
  return fragments;
}

Result<ByteView> main_data(const Record& record) {
  return FragmentReader(record).main_data();
}

}  // namespace pitr::wal
