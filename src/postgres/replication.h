// A physical replication connection: what a walsender answers, in its own words.
//
// Protocol: PostgreSQL doc/src/sgml/protocol.sgml and src/backend/replication/walsender.c, 13-18.
// Owned by one thread at a time; not thread-safe. Waits end when the stop token fires (kCancelled).
// A connection that fails is closed by its owner and opened anew: it has no state worth saving.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <variant>

#include "common/bytes.h"
#include "common/clock.h"
#include "common/result.h"
#include "postgres/connection.h"
#include "postgres/lsn.h"

namespace pitr {

struct SystemIdentity {
  std::uint64_t system_identifier = 0;
  TimelineId timeline;
  Lsn position;  // flushed on a primary; received or replayed on a standby
};

// pg_replication_slots.wal_status.
enum class SlotWalStatus {
  kNothingReserved,  // the column is null: no restart_lsn yet
  kReserved,
  kExtended,
  kUnreserved,
  kLost,
};

struct SlotState {
  std::string name;
  bool physical = true;
  bool temporary = false;
  bool active = false;
  std::optional<std::int32_t> active_pid;
  std::optional<Lsn> restart_lsn;
  SlotWalStatus wal_status = SlotWalStatus::kNothingReserved;
  std::optional<std::int64_t> safe_wal_size_bytes;  // absent without max_slot_wal_keep_size
  std::optional<std::string> invalidation_reason;   // 17+; "wal_removed" for a lost slot
};
// By pg_replication_slots, in every version. No such slot is kNotFound.
Result<SlotState> read_slot(Connection& connection, const std::string& name,
                            std::stop_token stop = {});

// From READ_REPLICATION_SLOT (15+). Both are absent while nothing is reserved.
struct SlotPosition {
  std::optional<Lsn> restart_lsn;
  std::optional<TimelineId> restart_timeline;
};

// What receive() can bring.
struct WalData {
  Lsn start;
  Lsn server_end;
  Timestamp send_time;
  ByteView bytes;  // valid until the next call on the connection
};
struct Keepalive {
  Lsn server_end;
  Timestamp send_time;
  bool reply_requested = false;  // answer at once
};
// The timeline that was asked for ends here. The connection takes commands again. Bytes received
// from next_start on do not belong to the old timeline's history and must be discarded.
struct EndOfTimeline {
  TimelineId next_timeline;
  Lsn next_start;  // the switch point
};
struct EndOfStream {};     // the server shut down cleanly, everything was sent
struct ReceiveTimeout {};  // nothing arrived in time; no fault
using StreamMessage = std::variant<WalData, Keepalive, EndOfTimeline, EndOfStream, ReceiveTimeout>;

struct Feedback {
  Lsn written;
  Lsn flushed;  // durable: the server may recycle everything before it
  Lsn applied;
  bool reply_requested = false;
};

class ReplicationConnection {
 public:
  static Result<ReplicationConnection> open(const std::string& conninfo,
                                            ConnectionOptions options = {},
                                            std::stop_token stop = {});
  ReplicationConnection(ReplicationConnection&&) noexcept;
  ReplicationConnection& operator=(ReplicationConnection&&) noexcept;
  ~ReplicationConnection();

  Result<SystemIdentity> identify_system(std::stop_token stop = {});
  Result<SegmentSize> wal_segment_size(std::stop_token stop = {});

  // An existing slot is kConflict.
  Result<void> create_physical_slot(const std::string& name, bool reserve_wal, bool temporary,
                                    std::stop_token stop = {});
  // 15+ only (kInvalid before). No such slot is kNotFound; a logical one is kInvalid.
  Result<SlotPosition> read_slot_position(const std::string& name, std::stop_token stop = {});
  // No such slot is kNotFound; one in use is kConflict.
  Result<void> drop_slot(const std::string& name, std::stop_token stop = {});

  // The bytes of <timeline>.history. kNotFound when the server says that it has no such file.
  Result<Bytes> timeline_history(TimelineId timeline, std::stop_token stop = {});

  // Starts streaming; errors may also come from the first receive():
  // kNotFound: "requested WAL segment ... has already been removed", or no such slot;
  // kConflict: the start is ahead of the server, not in this server's history, or the slot is used.
  Result<void> start_replication(const std::optional<std::string>& slot, Lsn start,
                                 TimelineId timeline, std::stop_token stop = {});
  // The next message, at the latest after the timeout. Zero only looks at what has arrived.
  Result<StreamMessage> receive(Milliseconds timeout, std::stop_token stop = {});
  Result<void> send_feedback(const Feedback& feedback, Timestamp now, std::stop_token stop = {});
  // Ends streaming from this side; what was under way is discarded.
  Result<void> stop_replication(std::stop_token stop = {});

  int fd() const;  // readable when receive() has something to do
  int server_version_num() const;
  int server_major() const { return server_version_num() / 10000; }
  std::string last_sqlstate() const;
  std::string describe() const;

  // For base_backup_stream.cc, which speaks on the same connection.
  libpq::Session& session() { return *session_; }

 private:
  explicit ReplicationConnection(std::unique_ptr<libpq::Session> session);
  Result<StreamMessage> finish_stream(std::stop_token stop);

  enum class State { kIdle, kStreaming, kEnded };
  std::unique_ptr<libpq::Session> session_;
  State state_ = State::kIdle;
  std::optional<EndOfTimeline> pending_end_;  // the start was the switch point: no COPY at all
};

}  // namespace pitr
