// WAL records: src/include/access/xlogrecord.h, decoded only as far as somebody needs.
// All parse functions take a record whose CRC was checked, and still check every bound.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/bytes.h"
#include "common/clock.h"
#include "common/result.h"
#include "postgres/lsn.h"
#include "postgres/wal/relation_id.h"

namespace pitr::wal {

inline constexpr std::size_t kRecordHeaderSize = 24;
inline constexpr std::size_t kRecordAlignment = 8;

// Resource manager ids, the same in 13-18 (src/include/access/rmgrlist.h).
enum : std::uint8_t { kRmXlog = 0, kRmXact = 1, kRmSmgr = 2, kRmDbase = 4, kRmSpgist = 16 };

struct RecordHeader {
  std::uint32_t total_length = 0;
  std::uint32_t xid = 0;
  Lsn previous;
  std::uint8_t info = 0;
  std::uint8_t rmgr = 0;
  std::uint32_t crc = 0;
};
// Of at least kRecordHeaderSize bytes.
inline RecordHeader parse_record_header(ByteView record) {
  const auto* at = record.data();
  RecordHeader header;
  header.total_length = load<std::uint32_t>(at);
  header.xid = load<std::uint32_t>(at + 4);
  header.previous = Lsn(load<std::uint64_t>(at + 8));
  header.info = at[16];
  header.rmgr = at[17];
  header.crc = load<std::uint32_t>(at + 20);
  return header;
}

// Ids that a version's server would accept: its own, and from 15 on 128 to 255 (extensions).
inline bool is_valid_rmgr(std::uint8_t rmgr, int major) {
  constexpr std::uint8_t kLastBuiltIn = 21;  // logical messages
  constexpr std::uint8_t kFirstCustom = 128;
  return rmgr <= kLastBuiltIn || (rmgr >= kFirstCustom && major >= 15);
}
// Of a whole record: its header without the crc field comes last.
std::uint32_t record_crc(ByteView record);

// A record, as the decoder delivers it. `bytes` is valid during the call only.
struct Record {
  Lsn start;
  Lsn end;  // as the server counts it: rounded up to 8, so the next record begins here, or behind
            // the page header that follows (after a switch: with the next segment)
  TimelineId timeline;  // of the page it ends in
  int major = 0;
  RecordHeader header;
  ByteView bytes;  // the whole record, page headers left out; of a huge one only the beginning

  bool is_cut() const { return bytes.size() < header.total_length; }
};

struct BlockReference {
  RelationId relation;
  std::uint8_t fork = 0;
  std::uint32_t block = 0;
};

// Goes through a record's fragment headers, without copying or allocating:
//   FragmentReader reader(record);
//   while (reader.next()) use(reader.block());
//   TRY(reader.status());
// The record's bytes must outlive it.
class FragmentReader {
 public:
  explicit FragmentReader(const Record& record);

  // False: there is no other block, or what comes next is malformed.
  bool next();
  const BlockReference& block() const { return block_; }
  // What was wrong; then there is nothing more to come.
  Result<void> status() const;
  // After the last block, or at once (blocks are passed over). Shorter than announced only where
  // the record is cut.
  Result<ByteView> main_data();

 private:
  bool read_block(std::uint8_t id);
  bool read_other(std::uint8_t id);
  bool announce_main_data(std::uint32_t size_bytes);
  bool fail(const char* problem);
  template <typename T>
  T take();
  bool has(std::ptrdiff_t bytes) const { return end_ - at_ >= bytes; }

  const Record& record_;
  const std::uint8_t* at_;
  const std::uint8_t* end_;
  std::uint64_t data_bytes_ = 0;       // announced so far
  std::uint64_t main_data_bytes_ = 0;  // of them main data
  const char* problem_ = nullptr;
  std::uint8_t id_ = 0;  // of the fragment that was read last
  int last_block_id_ = -1;
  bool has_relation_ = false;
  BlockReference block_;
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
  // Top-level; for prepared ones the transaction's own, not the record's. 0: not known (a prepared
  // one with millions of subtransactions, of which the decoder kept only the beginning).
  std::uint32_t xid = 0;
  Timestamp time;
  XactKind kind = XactKind::kCommit;
};
// nullopt: not the end of a transaction.
Result<std::optional<XactEnd>> parse_xact_end(const Record& record);

// The relations that a transaction's end drops: of a commit those that the transaction dropped, of
// an abort those that it had created. kDroppedRelationBytes each: tablespace, database,
// relfilenode. Empty for other records, and where there are none.
inline constexpr std::size_t kDroppedRelationBytes = 12;
Result<ByteView> parse_dropped_relations(const Record& record);

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

// The first record of a promoted server's own, where it made no checkpoint instead.
struct EndOfRecovery {
  Lsn start;
  Timestamp time;
  TimelineId timeline;
  TimelineId previous_timeline;
};
Result<std::optional<EndOfRecovery>> parse_end_of_recovery(const Record& record);

// BACKUP_END: the start LSN of the backup that ends here.
Result<std::optional<Lsn>> parse_backup_end(const Record& record);

enum class WalLevel : std::uint8_t { kMinimal = 0, kReplica = 1, kLogical = 2 };
// Written by a server that starts with other settings than before, of those that matter to
// standbys.
struct ParameterChange {
  Lsn start;
  WalLevel wal_level = WalLevel::kMinimal;
  bool wal_log_hints = false;
  friend bool operator==(const ParameterChange&, const ParameterChange&) = default;
};
Result<std::optional<ParameterChange>> parse_parameter_change(const Record& record);

// OVERWRITE_CONTRECORD: the start of the record that was begun and will never be finished.
Result<std::optional<Lsn>> parse_overwrite_contrecord(const Record& record);

bool is_xact_end(const RecordHeader& header);
bool is_switch(const RecordHeader& header);
bool is_overwrite_contrecord(const RecordHeader& header);
bool is_hint_only(const RecordHeader& header);  // a reader set a hint bit, and no row changed

}  // namespace pitr::wal
