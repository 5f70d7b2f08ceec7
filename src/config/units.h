// Durations ("10s", "5min") and sizes ("512MiB") as they stand in configuration and on command
// lines. A number without its unit is refused: kInvalid with a message that says what to write.
// Pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "common/clock.h"
#include "common/result.h"

namespace pitr {

// Units: ms s min h d.
Result<Milliseconds> parse_duration(std::string_view text);
// Units: B KiB MiB GiB TiB, powers of 1024.
Result<std::uint64_t> parse_size(std::string_view text);
// As parse_size(), followed by "/s".
Result<std::uint64_t> parse_rate(std::string_view text);

// In the largest unit that leaves a whole number.
std::string duration_to_string(Milliseconds duration);
std::string size_to_string(std::uint64_t size_bytes);

}  // namespace pitr
