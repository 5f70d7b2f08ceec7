// Sizes, durations and times as people read them. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "common/clock.h"

namespace pitr {

// "1.5 GiB", "812 KiB", "17 bytes".
std::string format_bytes(std::uint64_t bytes);
// "1h 02min", "3min 05s", "4.2s".
std::string format_duration(double seconds);
constexpr double to_seconds(Microseconds duration) {
  return static_cast<double>(duration.count()) / 1e6;
}
// "2026-03-01 09:15:00+00" of a time in JSON ("2026-03-01 09:15:00.123456+00").
std::string without_fraction(std::string_view time);

}  // namespace pitr
