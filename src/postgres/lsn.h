// WAL positions, timelines and segment names.
//
// Formats: src/include/access/xlogdefs.h and xlog_internal.h (PostgreSQL 13-18). LSN text is
// "%X/%X" up to 18 and "%X/%08X" from 19 on, so LSNs are compared as numbers, never as text.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "common/result.h"

namespace pitr {

// A byte position in the WAL. 0 is "none" (InvalidXLogRecPtr).
class Lsn {
 public:
  constexpr Lsn() = default;
  constexpr explicit Lsn(std::uint64_t value) : value_(value) {}
  static Result<Lsn> parse(std::string_view text);  // "16/B374D848"

  constexpr std::uint64_t value() const { return value_; }
  constexpr bool is_none() const { return value_ == 0; }

  friend constexpr auto operator<=>(Lsn, Lsn) = default;
  friend constexpr Lsn operator+(Lsn lsn, std::uint64_t bytes) { return Lsn(lsn.value_ + bytes); }
  friend constexpr Lsn operator-(Lsn lsn, std::uint64_t bytes) { return Lsn(lsn.value_ - bytes); }
  friend constexpr std::uint64_t operator-(Lsn a, Lsn b) { return a.value_ - b.value_; }

 private:
  std::uint64_t value_ = 0;
};
std::string to_string(Lsn lsn);

class TimelineId {
 public:
  constexpr TimelineId() = default;
  constexpr explicit TimelineId(std::uint32_t value) : value_(value) {}
  static Result<TimelineId> parse_decimal(std::string_view text);

  constexpr std::uint32_t value() const { return value_; }
  friend constexpr auto operator<=>(TimelineId, TimelineId) = default;

 private:
  std::uint32_t value_ = 0;
};
std::string to_string(TimelineId timeline);          // decimal, as people write it
std::string to_hex8(TimelineId timeline);            // "0000000A", as file names have it
std::string history_file_name(TimelineId timeline);  // "0000000A.history"

// The server's wal_segment_size: a power of two from 1 MiB to 1 GiB.
class SegmentSize {
 public:
  constexpr SegmentSize() = default;  // 16 MiB, initdb's default
  static Result<SegmentSize> from_bytes(std::uint64_t bytes);

  constexpr std::uint64_t bytes() const { return bytes_; }
  constexpr std::uint64_t number_of(Lsn lsn) const { return lsn.value() / bytes_; }
  constexpr std::uint64_t offset_of(Lsn lsn) const { return lsn.value() % bytes_; }
  constexpr Lsn start_of(std::uint64_t number) const { return Lsn(number * bytes_); }
  constexpr Lsn round_down(Lsn lsn) const { return lsn - offset_of(lsn); }
  constexpr std::uint64_t segments_per_log() const { return (1ull << 32) / bytes_; }
  friend constexpr bool operator==(SegmentSize, SegmentSize) = default;

 private:
  constexpr explicit SegmentSize(std::uint64_t bytes) : bytes_(bytes) {}
  std::uint64_t bytes_ = 16ull << 20;
};

// One WAL segment: timeline and number (LSN divided by the segment size).
struct SegmentId {
  TimelineId timeline;
  std::uint64_t number = 0;

  friend auto operator<=>(const SegmentId&, const SegmentId&) = default;
};
std::string segment_file_name(SegmentId segment, SegmentSize size);  // 24 hexadecimal digits
Result<SegmentId> parse_segment_file_name(std::string_view name, SegmentSize size);

// What archive_command and restore_command may be asked for (xlog_internal.h, IsXLogFileName...).
enum class WalFileKind {
  kSegment,          // 24 hex digits
  kPartialSegment,   // 24 hex digits, ".partial"
  kBackupHistory,    // 24 hex digits, ".", 8 hex digits, ".backup"
  kTimelineHistory,  // 8 hex digits, ".history"
};
Result<WalFileKind> classify_wal_file(std::string_view name);

}  // namespace pitr

template <>
struct std::hash<pitr::Lsn> {
  std::size_t operator()(pitr::Lsn lsn) const { return std::hash<std::uint64_t>()(lsn.value()); }
};
