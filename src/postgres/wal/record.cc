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

bool image_is_compressed(std::uint8_t image_info, int major) {
  return (image_info & (major >= 15 ? kImageCompressed15 : kImageCompressed13)) != 0;
}

}  // namespace

std::uint32_t record_crc(ByteView record) {
  return crc32c(record.first(kRecordHeaderSize - sizeof(std::uint32_t)),
                crc32c(record.subspan(kRecordHeaderSize)));
}

FragmentReader::FragmentReader(const Record& record)
    : record_(record),
      at_(record.bytes.data() + kRecordHeaderSize),
      end_(record.bytes.data() + record.bytes.size()) {}

Result<void> FragmentReader::status() const {
  if (problem_ == nullptr) return {};
  return Error::corrupt(
      fmt::format("WAL record at {}: {} (fragment id {}), though its CRC is right",
                  to_string(record_.start), problem_, id_));
}

bool FragmentReader::fail(const char* problem) {
  problem_ = problem;
  return false;
}

template <typename T>
T FragmentReader::take() {
  const T value = load<T>(at_);
  at_ += sizeof(T);
  return value;
}

static constexpr const char* kCutOff = "its fragments are cut off";

// Headers go on until what they announce fills the rest of the record; nothing else ends them.
// This runs for every record of a WAL stream: bounds are checked once per header.
bool FragmentReader::next() {
  while (problem_ == nullptr) {
    const auto consumed = static_cast<std::uint64_t>(at_ - record_.bytes.data());
    if (consumed + data_bytes_ >= record_.header.total_length) {
      if (consumed + data_bytes_ == record_.header.total_length) return false;
      return fail("its fragments are longer than it is");
    }
    if (!has(1)) return fail(kCutOff);
    id_ = take<std::uint8_t>();
    if (id_ <= kMaxBlockId) return read_block(id_);
    if (!read_other(id_)) return false;
  }
  return false;
}

bool FragmentReader::read_other(std::uint8_t id) {
  if (id == kMainDataShort) {
    return has(1) ? announce_main_data(take<std::uint8_t>()) : fail(kCutOff);
  }
  if (id == kMainDataLong) {
    return has(4) ? announce_main_data(take<std::uint32_t>()) : fail(kCutOff);
  }
  const std::ptrdiff_t size = id == kOrigin ? 2 : id == kTopLevelXid && record_.major >= 14 ? 4 : 0;
  if (size == 0) return fail("a fragment is of an unknown kind");
  if (!has(size)) return fail(kCutOff);
  at_ += size;
  return true;
}

bool FragmentReader::announce_main_data(std::uint32_t size_bytes) {
  if (main_data_bytes_ != 0) return fail("its main data is announced twice");
  main_data_bytes_ = size_bytes;
  data_bytes_ += size_bytes;
  return true;
}

bool FragmentReader::read_block(std::uint8_t id) {
  if (id <= last_block_id_) return fail("a block is out of order");
  last_block_id_ = id;
  if (!has(3)) return fail(kCutOff);
  const auto flags = take<std::uint8_t>();
  const auto data_length = take<std::uint16_t>();
  if (((flags & kHasData) != 0) != (data_length != 0)) {
    return fail("a block's data flag and its length disagree");
  }
  data_bytes_ += data_length;
  if ((flags & kHasImage) != 0) {
    if (!has(5)) return fail(kCutOff);
    data_bytes_ += take<std::uint16_t>();
    at_ += 2;  // hole offset
    const auto image_info = take<std::uint8_t>();
    if ((image_info & kImageHasHole) != 0 && image_is_compressed(image_info, record_.major)) {
      if (!has(2)) return fail(kCutOff);
      at_ += 2;  // hole length; otherwise it is what the image lacks to a page
    }
  }

  if ((flags & kSameRelation) == 0) {
    if (!has(sizeof(RelationId))) return fail(kCutOff);
    block_.relation = take<RelationId>();
    has_relation_ = true;
  } else if (!has_relation_) {
    return fail("its first block has no relation");
  }
  if (!has(4)) return fail(kCutOff);
  block_.fork = flags & kForkMask;
  block_.block = take<std::uint32_t>();
  return true;
}

Result<ByteView> FragmentReader::main_data() {
  while (next()) {
  }
  TRY(status());
  // Main data comes last: before it only blocks' images and data.
  const std::uint64_t from = record_.header.total_length - main_data_bytes_;
  if (from >= record_.bytes.size()) return ByteView();
  return record_.bytes.subspan(from);
}

Result<Fragments> parse_fragments(const Record& record) {
  FragmentReader reader(record);
  Fragments fragments;
  while (reader.next()) fragments.blocks.push_back(reader.block());
  fragments.main_data = TRY(reader.main_data());
  return fragments;
}

Result<ByteView> main_data(const Record& record) {
  return FragmentReader(record).main_data();
}

}  // namespace pitr::wal
