#include "postgres/lsn.h"

#include <fmt/format.h>

#include <bit>
#include <charconv>

namespace pitr {

template <typename T>
static bool parse_whole(std::string_view text, T& value, int base) {
  const auto* end = text.data() + text.size();
  const auto [stopped, error] = std::from_chars(text.data(), end, value, base);
  return error == std::errc() && stopped == end && !text.empty();
}

static bool is_upper_hex(std::string_view text) {
  return text.find_first_not_of("0123456789ABCDEF") == std::string_view::npos;
}

Result<Lsn> Lsn::parse(std::string_view text) {
  const auto slash = text.find('/');
  std::uint32_t high = 0;
  std::uint32_t low = 0;
  if (slash == std::string_view::npos || !parse_whole(text.substr(0, slash), high, 16) ||
      !parse_whole(text.substr(slash + 1), low, 16)) {
    return Error::invalid(fmt::format("\"{}\" is not an LSN", text))
        .with_hint("write it as PostgreSQL prints it, for example 16/B374D848");
  }
  return Lsn((static_cast<std::uint64_t>(high) << 32) | low);
}

std::string to_string(Lsn lsn) {
  return fmt::format("{:X}/{:X}", lsn.value() >> 32, lsn.value() & 0xFFFFFFFF);
}

Result<TimelineId> TimelineId::parse_decimal(std::string_view text) {
  std::uint32_t value = 0;
  if (!parse_whole(text, value, 10) || value == 0) {
    return Error::invalid(fmt::format("\"{}\" is not a timeline number", text));
  }
  return TimelineId(value);
}

std::string to_string(TimelineId timeline) {
  return fmt::format("{}", timeline.value());
}
std::string to_hex8(TimelineId timeline) {
  return fmt::format("{:08X}", timeline.value());
}
std::string history_file_name(TimelineId timeline) {
  return to_hex8(timeline) + ".history";
}

Result<SegmentSize> SegmentSize::from_bytes(std::uint64_t bytes) {
  if (!std::has_single_bit(bytes) || bytes < (1ull << 20) || bytes > (1ull << 30)) {
    return Error::invalid(fmt::format("{} bytes is not a WAL segment size", bytes));
  }
  return SegmentSize(bytes);
}

std::string segment_file_name(SegmentId segment, SegmentSize size) {
  return fmt::format("{:08X}{:08X}{:08X}", segment.timeline.value(),
                     segment.number / size.segments_per_log(),
                     segment.number % size.segments_per_log());
}

static constexpr std::size_t kSegmentNameLength = 24;

Result<SegmentId> parse_segment_file_name(std::string_view name, SegmentSize size) {
  std::uint32_t timeline = 0;
  std::uint32_t log = 0;
  std::uint32_t in_log = 0;
  const bool parsed = name.size() == kSegmentNameLength && is_upper_hex(name) &&
                      parse_whole(name.substr(0, 8), timeline, 16) &&
                      parse_whole(name.substr(8, 8), log, 16) &&
                      parse_whole(name.substr(16, 8), in_log, 16);
  if (!parsed || timeline == 0 || in_log >= size.segments_per_log()) {
    return Error::invalid(
        fmt::format("\"{}\" is not the name of a WAL segment of {} MiB", name, size.bytes() >> 20));
  }
  return SegmentId{TimelineId(timeline), log * size.segments_per_log() + in_log};
}

Result<WalFileKind> classify_wal_file(std::string_view name) {
  const auto dot = name.find('.');
  const auto stem = name.substr(0, dot);
  const auto suffix = dot == std::string_view::npos ? std::string_view() : name.substr(dot);
  if (is_upper_hex(stem)) {
    if (stem.size() == 8 && suffix == ".history") return WalFileKind::kTimelineHistory;
    if (stem.size() == kSegmentNameLength) {
      if (suffix.empty()) return WalFileKind::kSegment;
      if (suffix == ".partial") return WalFileKind::kPartialSegment;
      if (suffix.size() == 16 && suffix.ends_with(".backup") && is_upper_hex(suffix.substr(1, 8))) {
        return WalFileKind::kBackupHistory;
      }
    }
  }
  return Error::invalid(fmt::format("\"{}\" is not the name of a WAL file", name));
}

}  // namespace pitr
