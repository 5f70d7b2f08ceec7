#include "postgres/wal/page.h"

#include <fmt/format.h>

#include <array>

namespace pitr::wal {
namespace {

constexpr int kOldestMajor = 13;
constexpr std::array<std::uint16_t, 6> kMagics = {0xD106, 0xD10D, 0xD110, 0xD113, 0xD116, 0xD118};

constexpr std::uint16_t kFirstIsContinuation = 0x0001;
constexpr std::uint16_t kLongHeader = 0x0002;
// 0x0004, "backup blocks removable", is of no interest to anybody.
constexpr std::uint16_t kFirstIsOverwriteContrecord = 0x0008;
constexpr std::uint16_t kAllFlags = 0x000F;

}  // namespace

Result<int> major_of_magic(std::uint16_t magic) {
  for (std::size_t i = 0; i < kMagics.size(); ++i) {
    if (kMagics[i] == magic) return kOldestMajor + static_cast<int>(i);
  }
  return Error::invalid(
      fmt::format("page magic {:04X} belongs to no PostgreSQL version from 13 to 18", magic));
}

Result<std::uint16_t> magic_of_major(int major) {
  const auto index = static_cast<std::size_t>(major - kOldestMajor);
  if (major < kOldestMajor || index >= kMagics.size()) {
    return Error::invalid(fmt::format("PostgreSQL {} is not supported: 13 to 18 are", major));
  }
  return kMagics[index];
}

Result<PageHeader> parse_page_header(ByteView page) {
  if (page.size() < kShortHeaderSize) return Error::corrupt("page header is cut off");
  const auto* at = page.data();
  PageHeader header;
  header.magic = load<std::uint16_t>(at);
  if (header.magic == 0) return Error::corrupt("page magic is zero: nothing was written here");
  if (!major_of_magic(header.magic)) {
    return Error::corrupt(fmt::format("page magic {:04X} is of no supported version, or damaged",
                                      header.magic))
        .with_hint("PostgreSQL 13 to 18 are supported");
  }
  const auto info = load<std::uint16_t>(at + 2);
  if ((info & ~kAllFlags) != 0) {
    return Error::corrupt(fmt::format("page flags {:04X} are unknown", info));
  }
  header.first_is_continuation = (info & kFirstIsContinuation) != 0;
  header.is_long = (info & kLongHeader) != 0;
  header.first_is_overwrite_contrecord = (info & kFirstIsOverwriteContrecord) != 0;
  header.timeline = TimelineId(load<std::uint32_t>(at + 4));
  header.address = Lsn(load<std::uint64_t>(at + 8));
  header.remaining_length = load<std::uint32_t>(at + 16);
  if (!header.is_long) return header;

  if (page.size() < kLongHeaderSize) return Error::corrupt("long page header is cut off");
  header.system_identifier = load<std::uint64_t>(at + 24);
  header.segment_size_bytes = load<std::uint32_t>(at + 32);
  header.block_size = load<std::uint32_t>(at + 36);
  return header;
}

}  // namespace pitr::wal
