#include "postgres/control_file.h"

#include <fmt/format.h>

#include <optional>
#include <thread>

#include "postgres/crc32c.h"

namespace pitr {
namespace {

constexpr std::size_t kCrcOffset13 = 288;
constexpr std::size_t kCrcOffset18 = 292;
constexpr std::size_t kCrcOffset19 = 304;

std::uint32_t crc_at(ByteView bytes, std::size_t offset) {
  return crc32c(bytes.first(offset));
}

bool crc_matches(ByteView bytes, std::size_t offset) {
  return load<std::uint32_t>(&bytes[offset]) == crc_at(bytes, offset);
}

std::optional<std::size_t> crc_offset(std::uint32_t control_version) {
  switch (control_version) {
    case 1300:
    case 1700:
      return kCrcOffset13;
    case 1800:
      return kCrcOffset18;
    default:
      return std::nullopt;
  }
}

Result<void> check_crc(ByteView bytes) {
  const auto version = load<std::uint32_t>(&bytes[8]);
  const auto offset = crc_offset(version);
  if (offset && crc_matches(bytes, *offset)) return {};
  const bool other_version = crc_matches(bytes, kCrcOffset13) || crc_matches(bytes, kCrcOffset18) ||
                             crc_matches(bytes, kCrcOffset19);
  if (!offset && other_version) {
    return Error::invalid(
        fmt::format("pg_control has version {}, which PostgreSQL 13 to 18 don't write", version));
  }
  return Error::corrupt("pg_control: the checksum does not match");
}

Timestamp time_at(ByteView bytes, std::size_t offset) {
  const auto seconds = load<std::int64_t>(&bytes[offset]);
  constexpr std::int64_t kMostSeconds = INT64_MAX / 1'000'000;
  if (seconds < 0 || seconds > kMostSeconds) return {};
  return Timestamp::from_unix_us(seconds * 1'000'000);
}

}  // namespace

std::string_view to_string(ClusterState state) {
  switch (state) {
    case ClusterState::kStartup:
      return "starting up";
    case ClusterState::kShutDown:
      return "shut down";
    case ClusterState::kShutDownInRecovery:
      return "shut down in recovery";
    case ClusterState::kShuttingDown:
      return "shutting down";
    case ClusterState::kCrashRecovery:
      return "in crash recovery";
    case ClusterState::kArchiveRecovery:
      return "in archive recovery";
    case ClusterState::kInProduction:
      return "in production";
  }
  return "unrecognized status code";
}

Result<ControlFile> parse_control_file(ByteView bytes) {
  if (bytes.size() < kCrcOffset19 + 4) {
    return Error::corrupt(fmt::format("pg_control has only {} bytes", bytes.size()));
  }
  TRY(check_crc(bytes));
  const auto u32 = [&](std::size_t at) { return load<std::uint32_t>(&bytes[at]); };
  const auto u64 = [&](std::size_t at) { return load<std::uint64_t>(&bytes[at]); };
  ControlFile control;
  control.system_identifier = u64(0);
  control.control_version = u32(8);
  control.catalog_version = u32(12);
  control.state = static_cast<ClusterState>(u32(16));
  control.modified = time_at(bytes, 24);
  control.checkpoint = Lsn(u64(32));
  control.redo = Lsn(u64(40));
  control.timeline = TimelineId(u32(48));
  control.previous_timeline = TimelineId(u32(52));
  control.full_page_writes = bytes[56] != 0;
  control.checkpoint_time = time_at(bytes, 104);
  control.min_recovery_point = Lsn(u64(136));
  control.min_recovery_timeline = TimelineId(u32(144));
  control.backup_start_point = Lsn(u64(152));
  control.backup_end_point = Lsn(u64(160));
  control.backup_end_required = bytes[168] != 0;
  control.wal_level = u32(172);
  control.wal_log_hints = bytes[176] != 0;
  control.block_size_bytes = u32(216);
  control.relation_segment_blocks = u32(220);
  control.wal_block_size_bytes = u32(224);
  control.data_checksum_version = u32(252);
  const auto segment_size = SegmentSize::from_bytes(u32(228));
  if (!segment_size) return Error::corrupt("pg_control: " + segment_size.error().message());
  control.wal_segment_size = *segment_size;
  if (u32(16) > static_cast<std::uint32_t>(ClusterState::kInProduction)) {
    return Error::corrupt(fmt::format("pg_control: {} is no cluster state", u32(16)));
  }
  return control;
}

Result<Bytes> control_file_of_standby(ByteView bytes, Lsn consistent_at, TimelineId timeline) {
  const auto control = TRY(parse_control_file(bytes));
  const auto crc_place = crc_offset(control.control_version);
  if (!crc_place) return Error::internal("a pg_control without a checksum");
  Bytes marked(bytes.begin(), bytes.end());
  const auto put = [&]<typename Number>(std::size_t at, Number value) {
    store(&marked[at], value);
  };
  put(16, static_cast<std::uint32_t>(ClusterState::kArchiveRecovery));
  put(136, consistent_at.value());
  put(144, timeline.value());
  put(152, std::uint64_t{0});  // backup start point
  put(160, std::uint64_t{0});  // backup end point
  marked[168] = 0;             // backup end required
  put(*crc_place, crc_at(marked, *crc_place));
  return marked;
}

Result<ControlFileImage> read_control_file_image(const Path& data_directory) {
  const Path path = data_directory / "global" / "pg_control";
  constexpr int kAttempts = 10;
  constexpr Milliseconds kPause{10};
  std::optional<std::uint32_t> last_crc;
  for (int attempt = 1;; ++attempt) {
    auto bytes = TRY(read_file(path, 2 * kControlFileSizeBytes));
    auto control = parse_control_file(bytes);
    if (control) return ControlFileImage{.control = *control, .bytes = std::move(bytes)};
    // The same wrong bytes twice are what is on disk, not a write under way.
    const auto crc = crc32c(bytes);
    if (control.error().kind() != ErrorKind::kCorrupt || crc == last_crc || attempt >= kAttempts) {
      return std::move(control).error().with_context(path.native());
    }
    last_crc = crc;
    std::this_thread::sleep_for(kPause);
  }
}

Result<ControlFile> read_control_file(const Path& data_directory) {
  auto image = TRY(read_control_file_image(data_directory));
  return image.control;
}

}  // namespace pitr
