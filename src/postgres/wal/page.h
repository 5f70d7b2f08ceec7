// WAL page headers: src/include/access/xlog_internal.h (PostgreSQL 13-18). The page's magic decides
// which decoder variant applies.
#pragma once

#include <cstdint>

#include "common/bytes.h"
#include "common/result.h"
#include "postgres/lsn.h"

namespace pitr::wal {

inline constexpr std::size_t kPageSize = 8192;
inline constexpr std::size_t kShortHeaderSize = 24;
inline constexpr std::size_t kLongHeaderSize = 40;

struct PageHeader {
  std::uint16_t magic = 0;
  bool first_is_continuation = false;
  bool is_long = false;
  bool first_is_overwrite_contrecord = false;
  TimelineId timeline;
  Lsn address;
  std::uint32_t remaining_length = 0;  // of the record continued from the page before
  // Long headers only:
  std::uint64_t system_identifier = 0;
  std::uint32_t segment_size_bytes = 0;
  std::uint32_t block_size = 0;

  std::size_t size() const { return is_long ? kLongHeaderSize : kShortHeaderSize; }
};

// 13 to 18, or kInvalid for a magic that no supported version writes.
Result<int> major_of_magic(std::uint16_t magic);

// page: at least kLongHeaderSize bytes. kCorrupt where the magic or flags are unknown.
Result<PageHeader> parse_page_header(ByteView page);

}  // namespace pitr::wal
