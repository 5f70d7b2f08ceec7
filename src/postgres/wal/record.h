// WAL records: src/include/access/xlogrecord.h, decoded only as far as somebody needs.
// All parse functions take a whole record whose CRC was checked, and still check every bound.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/bytes.h"
#include "common/clock.h"
#include "common/result.h"
#include "postgres/lsn.h"

namespace pitr::wal {

inline constexpr std::size_t kRecordHeaderSize = 24;

// Resource manager ids, the same in 13-18 (src/include/access/rmgrlist.h).
enum : std::uint8_t { kRmXlog = 0, kRmXact = 1, kRmSmgr = 2, kRmDbase = 4 };

struct RecordHeader {
  std::uint32_t total_length = 0;
  std::uint32_t xid = 0;
  Lsn previous;
  std::uint8_t info = 0;
  std::uint8_t rmgr = 0;
  std::uint32_t crc = 0;
};
RecordHeader parse_record_header(ByteView record);  // at least kRecordHeaderSize bytes

// A whole record, as the decoder delivers it. `bytes` is valid during the call only.
struct Record {
  Lsn start;
  Lsn end;  // behind its last byte; the next record begins at the next multiple of 8, or later
  TimelineId timeline;  // of the page it ends in
  int major = 0;
  RecordHeader header;
  ByteView bytes;
};

struct BlockReference {
  std::uint32_t tablespace = 0;
  std::uint32_t database = 0;
  std::uint32_t relation = 0;
  std::uint8_t fork = 0;
  std::uint32_t block = 0;
};
struct Fragments {
  std::vector<BlockReference> blocks;
  ByteView main_data;
};
Result<Fragments> parse_fragments(const Record& record);
// Only the main data; quicker, for records whose blocks nobody asks about.
Result<ByteView> main_data(const Record& record);

enum class XactKind : std::uint8_t { kCommit, kAbort, kCommitPrepared, kAbortPrepared };
inline bool is_commit(XactKind kind) {
  return kind == XactKind::kCommit || kind == XactKind::kCommitPrepared;
}

struct XactEnd {
  Lsn start;
  Lsn end;
  std::uint32_t xid = 0;  // top-level; for prepared ones the transaction's own, not the record's
  Timestamp time;
  XactKind kind = XactKind::kCommit;
};
// nullopt: not the end of a transaction.
Result<std::optional<XactEnd>> parse_xact_end(const Record& record);

struct RestorePoint {
  Lsn start;
  Lsn end;
  Timestamp time;
  std::string name;
};
Result<std::optional<RestorePoint>> parse_restore_point(const Record& record);

struct Checkpoint {
  Lsn start;
  Lsn redo;
  TimelineId timeline;
  bool is_shutdown = false;
};
Result<std::optional<Checkpoint>> parse_checkpoint(const Record& record);

// BACKUP_END: the start LSN of the backup that ends here.
Result<std::optional<Lsn>> parse_backup_end(const Record& record);

enum class WalLevel : std::uint8_t { kMinimal = 0, kReplica = 1, kLogical = 2 };
// From a parameter change.
Result<std::optional<WalLevel>> parse_parameter_change(const Record& record);

bool is_switch(const RecordHeader& header);
bool is_overwrite_contrecord(const RecordHeader& header);

}  // namespace pitr::wal
