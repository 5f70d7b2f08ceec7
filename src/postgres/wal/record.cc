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
    : record_(record), headers_(record.bytes.subspan(kRecordHeaderSize)) {}

Error FragmentReader::malformed(std::string_view what) const {
  return Error::corrupt(
      fmt::format("WAL record at {}: {}, though its CRC is right", to_string(record_.start), what));
}

// Headers go on until what they announce fills the rest of the record; nothing else ends them.
Result<std::optional<BlockReference>> FragmentReader::next_block() {
  while (!past_headers_) {
    const std::uint64_t consumed = kRecordHeaderSize + headers_.position();
    if (consumed + data_bytes_ >= record_.header.total_length) {
      if (consumed + data_bytes_ > record_.header.total_length) {
        return malformed("its fragments are longer than it is");
      }
      past_headers_ = true;
      break;
    }
    const auto id = TRY(headers_.u8());
    if (id <= kMaxBlockId) return TRY(read_block(id));
    if (id == kMainDataShort || id == kMainDataLong) {
      TRY(read_main_data_length(id == kMainDataShort));
    } else if (id == kOrigin) {
      TRY(headers_.u16());
    } else if (id == kTopLevelXid && record_.major >= 14) {
      TRY(headers_.u32());
    } else {
      return malformed(fmt::format("fragment id {} is unknown", id));
    }
  }
  return std::optional<BlockReference>();
}

Result<void> FragmentReader::read_main_data_length(bool is_short) {
  if (main_data_bytes_ != 0) return malformed("its main data is announced twice");
  if (is_short) {
    main_data_bytes_ = TRY(headers_.u8());
  } else {
    main_data_bytes_ = TRY(headers_.u32());
  }
  data_bytes_ += main_data_bytes_;
  return {};
}

Result<BlockReference> FragmentReader::read_block(std::uint8_t id) {
  if (id <= last_block_id_) return malformed(fmt::format("block id {} is out of order", id));
  last_block_id_ = id;
  const auto flags = TRY(headers_.u8());
  const auto data_length = TRY(headers_.u16());
  if (((flags & kHasData) != 0) != (data_length != 0)) {
    return malformed("a block's data flag and its length disagree");
  }
  data_bytes_ += data_length;
  if ((flags & kHasImage) != 0) {
    const auto image_length = TRY(headers_.u16());
    data_bytes_ += image_length;
    TRY(headers_.u16());  // hole offset
    const auto image_info = TRY(headers_.u8());
    if ((image_info & kImageHasHole) != 0 && image_is_compressed(image_info, record_.major)) {
      TRY(headers_.u16());  // hole length; otherwise it is what the image lacks to a page
    }
  }

  BlockReference block;
  if ((flags & kSameRelation) != 0) {
    if (!last_block_) return malformed("its first block has no relation");
    block = *last_block_;
  } else {
    block.tablespace = TRY(headers_.u32());
    block.database = TRY(headers_.u32());
    block.relation = TRY(headers_.u32());
  }
  block.fork = flags & kForkMask;
  block.block = TRY(headers_.u32());
  last_block_ = block;
  return block;
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
