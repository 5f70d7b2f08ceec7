// Streams one cluster's WAL into the repository, for as long as it runs.
//
// run() connects, makes sure of the slot, finds where to go on, streams, follows timeline switches,
// and starts again with back-off after any trouble, whatever it is: an operator may mend it at any
// time. It returns only when it is stopped; status() tells what's wrong meanwhile.
//
// Guarantees: a position is reported to the server as flushed only when every byte before it was
// received on this connection, passed the checks of its records (page address, prev-link, CRC,
// timeline), and is durable in the repository. Storage without progress for stall_timeout makes the
// receiver drop the connection, so that the slot holds the WAL and the server can shut down.
//
// run() belongs to one thread; status() may be called from any.
#pragma once

#include <cstdint>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>

#include "common/clock.h"
#include "common/result.h"
#include "postgres/connection.h"
#include "postgres/replication.h"
#include "repository/wal/facts_store.h"
#include "repository/wal/wal_archive.h"
#include "walreceiver/segment_counts.h"
#include "walreceiver/start_position.h"

namespace pitr {

struct WalReceiverOptions {
  std::string conninfo;
  std::string slot_name;
  // What the server sees; named in synchronous_standby_names it makes commits wait for durability.
  std::string application_name;
  Milliseconds stall_timeout{10'000};
  Milliseconds watermark_interval{5'000};  // doubled while no WAL comes for a minute
  // Without any word for so long the server is gone. After a quarter of it, it's asked for one.
  Milliseconds silence_timeout{60'000};
  Milliseconds first_reconnect_delay{200};
  // A server that was restored comes without the slot, which holds its WAL only from when the
  // receiver has made it.
  Milliseconds longest_reconnect_delay{5'000};
  SegmentCounts* segment_counts = nullptr;  // where set, it outlives the receiver
};

enum class WalReceiverState { kConnecting, kStreaming, kWaiting, kStopped };
std::string_view to_string(WalReceiverState state);

struct WalReceiverStatus {
  WalReceiverState state = WalReceiverState::kConnecting;
  TimelineId timeline;
  Lsn received_lsn;      // on this connection
  Lsn durable_lsn;       // in the repository
  Lsn acknowledged_lsn;  // told to the server as flushed
  Lsn server_lsn;        // the server's end of WAL as far as it has told
  Timestamp last_message;
  std::optional<Watermark> watermark;
  std::uint64_t segments_stored = 0;
  std::uint64_t connections = 0;
  std::uint64_t gaps = 0;  // times that WAL was gone from the server before it was received
  std::string last_gap;    // from where to where
  std::string last_error;  // empty while all is well
  std::optional<ErrorKind> last_error_kind;
};

class WalReceiver {
 public:
  WalReceiver(WalArchive& archive, FactsStore& facts, Clock& clock, WalReceiverOptions options);

  // Always ends with kCancelled.
  Result<void> run(std::stop_token stop);

  WalReceiverStatus status() const;

 private:
  friend class StreamSession;
  Result<void> run_session(std::stop_token stop);
  void note_end(const Result<void>& ended);
  template <typename Change>
  void update_status(Change&& change) {
    std::lock_guard lock(status_mutex_);
    change(status_);
  }

  WalArchive& archive_;
  FactsStore& facts_;
  Clock& clock_;
  const WalReceiverOptions options_;
  // Where the last session found that the server no longer has the WAL. Used by run()'s thread.
  std::optional<StartPosition> gone_;
  mutable std::mutex status_mutex_;
  WalReceiverStatus status_;
};

}  // namespace pitr
