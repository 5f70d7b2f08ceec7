// One connection's life: identify the server, make sure of the slot, find where to go on, and
// stream timeline after timeline until something ends it. WalReceiver starts a new session after
// any end. One thread.
#pragma once

#include <memory>
#include <optional>

#include "postgres/timeline_history.h"
#include "walreceiver/stall_watch.h"
#include "walreceiver/start_position.h"
#include "walreceiver/stream_pace.h"
#include "walreceiver/stream_writer.h"
#include "walreceiver/wal_receiver.h"
#include "walreceiver/watermark_probe.h"

namespace pitr {

class StreamSession {
 public:
  static Result<std::unique_ptr<StreamSession>> connect(WalReceiver& receiver,
                                                        std::stop_token stop);

  // Returns success only when the server shut down cleanly.
  Result<void> run();

 private:
  StreamSession(WalReceiver& receiver, ReplicationConnection connection, Connection sql,
                std::stop_token stop);

  Result<void> check_identity();
  Result<void> prepare_slot();
  Result<void> create_slot();
  Result<TimelineHistory> fetch_history(TimelineId timeline);
  Result<std::vector<StoredWal>> stored_wal(const TimelineHistory& history);
  Result<StoredWal> stored_without_hole(const TimelineHistory& history, SegmentId newest);
  Result<StartPosition> choose_start();
  // Streams one timeline to its end; nullopt: the server shut down.
  Result<std::optional<EndOfTimeline>> stream(const StartPosition& position);
  Result<std::optional<EndOfTimeline>> stream_from(const StartPosition& position);
  Result<StartPosition> skip_what_is_gone(const TimelineHistory& history,
                                          const StartPosition& position);
  Result<std::optional<EndOfTimeline>> receive_until_end();
  Result<StreamMessage> take_all_that_has_arrived(StreamMessage message);
  Result<void> store(const WalData& data);
  Result<void> make_durable();
  Result<void> send_feedback(bool reply_requested);
  void note_keepalive(const Keepalive& keepalive);
  Result<void> answer(const Keepalive* keepalive);
  Result<void> move_watermark();
  Result<void> finish_timeline(const EndOfTimeline& end);
  Lsn acknowledgeable() const;
  const std::string& cluster() const { return receiver_.archive_.store().id().cluster; }

  WalReceiver& receiver_;
  const WalReceiverOptions& options_;
  const std::stop_token stop_;
  SegmentIngest ingest_;
  // Before connection_: it may hang in storage when the session ends, and the server, which may be
  // shutting down, must not wait for that.
  SegmentSealer sealer_;
  ReplicationConnection connection_;
  Connection sql_;          // until probe_ takes it over
  StallWatch stall_watch_;  // after connection_: it must go before the socket does

  SystemIdentity server_;
  bool server_is_standby_ = false;
  std::optional<Lsn> slot_restart_;  // never moved backwards by feedback
  std::unique_ptr<StreamWriter> writer_;
  Lsn first_received_;                     // on this connection and timeline
  Lsn last_fed_back_;                      // on this connection and timeline
  std::optional<StreamPace> pace_;         // from when streaming begins
  std::optional<WatermarkSight> sight_;    // not reached yet
  std::unique_ptr<WatermarkProbe> probe_;  // from when streaming begins
};

}  // namespace pitr
