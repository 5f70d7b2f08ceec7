// CRC-32C (Castagnoli), the checksum of pg_control, WAL records and block reference tables
// (PostgreSQL src/port/pg_crc32c_*.c). Uses the SSE4.2 instruction on three interleaved streams
// where the processor has it, and tables elsewhere. Pure and thread-safe.
#pragma once

#include <cstdint>

#include "common/bytes.h"

namespace pitr {

// The finished checksum of bytes. To continue over a second range pass the first one's result:
// crc32c(b, crc32c(a)) == crc32c(a followed by b).
std::uint32_t crc32c(ByteView bytes, std::uint32_t previous = 0);

namespace detail {
std::uint32_t crc32c_portable(ByteView bytes, std::uint32_t previous);  // for tests
}

}  // namespace pitr
