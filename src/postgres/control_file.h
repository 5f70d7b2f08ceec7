// global/pg_control: the state of a cluster, as its server last wrote it.
//
// Format: PostgreSQL src/include/catalog/pg_control.h, 13-18, as compiled for 64-bit little-endian
// machines. Values are copies; everything here is thread-safe.
#pragma once

#include <cstdint>
#include <string_view>

#include "common/bytes.h"
#include "common/clock.h"
#include "common/file.h"
#include "common/result.h"
#include "postgres/lsn.h"

namespace pitr {

enum class ClusterState : std::uint32_t {
  kStartup = 0,
  kShutDown = 1,
  kShutDownInRecovery = 2,
  kShuttingDown = 3,
  kCrashRecovery = 4,
  kArchiveRecovery = 5,
  kInProduction = 6,
};
std::string_view to_string(ClusterState state);  // as pg_controldata says it

struct ControlFile {
  std::uint64_t system_identifier = 0;
  std::uint32_t control_version = 0;  // 1300 (13-16), 1700, 1800
  std::uint32_t catalog_version = 0;
  ClusterState state = ClusterState::kStartup;
  Timestamp modified;  // to the second
  Lsn checkpoint;      // position of the last checkpoint record
  Lsn redo;            // its redo pointer
  TimelineId timeline;
  TimelineId previous_timeline;
  bool full_page_writes = false;
  Timestamp checkpoint_time;  // to the second
  Lsn min_recovery_point;
  TimelineId min_recovery_timeline;
  Lsn backup_start_point;
  Lsn backup_end_point;
  bool backup_end_required = false;
  std::uint32_t wal_level = 0;  // 0 minimal, 1 replica, 2 logical
  bool wal_log_hints = false;
  std::uint32_t block_size_bytes = 0;
  std::uint32_t relation_segment_blocks = 0;  // 131072
  std::uint32_t wal_block_size_bytes = 0;
  SegmentSize wal_segment_size;
  std::uint32_t data_checksum_version = 0;  // 0: off

  bool data_checksums() const { return data_checksum_version != 0; }
};

inline constexpr std::size_t kControlFileSizeBytes = 8192;

// kCorrupt when the CRC or a value is wrong; kInvalid for a version that is not 13-18.
Result<ControlFile> parse_control_file(ByteView bytes);

// The pg_control of a copy that recovery makes consistent at consistent_at, where no server wrote
// the end of a backup: in archive recovery, with that minimum recovery point. What a copy of a
// standby has, and what pg_rewind writes (src/bin/pg_rewind/pg_rewind.c, perform_rewind()).
Result<Bytes> control_file_of_standby(ByteView bytes, Lsn consistent_at, TimelineId timeline);

// Reads data_directory/global/pg_control. A running server writes the file in place and a reader
// can see it half written, so a wrong CRC is read again until it is right or the same twice
// (src/common/controldata_utils.c). Gives the verified bytes as well: backups store those.
struct ControlFileImage {
  ControlFile control;
  Bytes bytes;
};
Result<ControlFileImage> read_control_file_image(const Path& data_directory);
Result<ControlFile> read_control_file(const Path& data_directory);

}  // namespace pitr
