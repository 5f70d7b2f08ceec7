#include "common/readable.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>

namespace pitr {

std::string format_bytes(std::uint64_t bytes) {
  static constexpr const char* kUnits[] = {"KiB", "MiB", "GiB", "TiB", "PiB"};
  if (bytes < 1024) return fmt::format("{} bytes", bytes);
  auto value = static_cast<double>(bytes) / 1024;
  std::size_t unit = 0;
  while (value >= 1024 && unit + 1 < std::size(kUnits)) {
    value /= 1024;
    ++unit;
  }
  return value < 10 ? fmt::format("{:.1f} {}", value, kUnits[unit])
                    : fmt::format("{:.0f} {}", value, kUnits[unit]);
}

std::string format_duration(double seconds) {
  if (seconds < 59.95) return fmt::format("{:.1f}s", std::max(seconds, 0.0));
  const auto whole = static_cast<std::int64_t>(std::llround(seconds));
  if (whole < 3600) return fmt::format("{}min {:02}s", whole / 60, whole % 60);
  if (whole < 86'400) return fmt::format("{}h {:02}min", whole / 3600, whole % 3600 / 60);
  return fmt::format("{}d {:02}h", whole / 86'400, whole % 86'400 / 3600);
}

std::string without_fraction(std::string_view time) {
  const auto dot = time.find('.');
  if (dot == std::string_view::npos) return std::string(time);
  auto end = dot + 1;
  while (end < time.size() && time[end] >= '0' && time[end] <= '9') ++end;
  return std::string(time.substr(0, dot)).append(time.substr(end));
}

}  // namespace pitr
