// WAL page headers: src/include/access/xlog_internal.h (PostgreSQL 13-18). The page's magic decides
// which decoder variant applies: from 19 on the same flag bits mean other things.
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
  // What the page before began was never finished (the server crashed): its rest is not here, and
  // the first record says so. Written by 13.5 and later.
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
// The magic that a major version (13 to 18) writes; kInvalid for others.
Result<std::uint16_t> magic_of_major(int major);

// page: at least kLongHeaderSize bytes, or kShortHeaderSize where the page isn't a segment's first.
// kCorrupt where the magic or flags are unknown, or the bytes end too early.
Result<PageHeader> parse_page_header(ByteView page);

}  // namespace pitr::wal
