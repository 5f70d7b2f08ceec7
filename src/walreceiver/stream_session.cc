#include "walreceiver/stream_session.h"

#include <fmt/format.h>

#include <algorithm>

#include "common/log.h"

namespace pitr {

// Bytes that are made durable at once when they arrive faster than storage syncs.
static constexpr std::uint64_t kBatchBytes = 1ull << 20;

// A transaction takes its commit time a moment before its record is written, so only what is older
// than this is called complete.
static constexpr Microseconds kCommitTimeMargin = Seconds(1);

static ConnectionOptions sql_options(const WalReceiverOptions& options) {
  ConnectionOptions sql;
  sql.application_name = options.application_name + " (slot)";
  return sql;
}

Result<std::unique_ptr<StreamSession>> StreamSession::connect(WalReceiver& receiver,
                                                              std::stop_token stop) {
  ConnectionOptions options;
  options.application_name = receiver.options_.application_name;
  auto replication = ReplicationConnection::open(receiver.options_.conninfo, options, stop);
  auto connection = TRY(std::move(replication));
  auto sql =
      TRY(Connection::open(receiver.options_.conninfo, sql_options(receiver.options_), stop));
  return std::unique_ptr<StreamSession>(
      new StreamSession(receiver, std::move(connection), std::move(sql), stop));
}

StreamSession::StreamSession(WalReceiver& receiver, ReplicationConnection connection,
                             Connection sql, std::stop_token stop)
    : receiver_(receiver),
      options_(receiver.options_),
      stop_(std::move(stop)),
      ingest_(receiver.archive_, receiver.facts_, receiver.options_.segment_counts),
      sealer_(ingest_),
      connection_(std::move(connection)),
      sql_(std::move(sql)),
      stall_watch_(connection_.fd(), options_.stall_timeout) {}

Result<void> StreamSession::run() {
  TRY(check_identity());
  TRY(prepare_slot());
  auto position = TRY(choose_start());
  probe_ = std::make_unique<WatermarkProbe>(
      std::move(sql_), options_.conninfo, sql_options(options_), receiver_.archive_.segment_size());
  while (true) {
    const auto end = TRY(stream(position));
    if (!end) return sealer_.drain();
    log::info("cluster {}: timeline {} ended at {}; going on with timeline {}", cluster(),
              to_string(position.timeline), to_string(end->next_start),
              to_string(end->next_timeline));
    TRY(fetch_history(end->next_timeline));
    const auto start = receiver_.archive_.segment_size().round_down(end->next_start);
    position = StartPosition{end->next_timeline, start, false};
  }
}

Result<void> StreamSession::check_identity() {
  server_ = TRY(connection_.identify_system(stop_));
  const IncarnationId& expected = receiver_.archive_.store().id();
  if (server_.system_identifier != expected.system_identifier ||
      static_cast<std::uint32_t>(connection_.server_major()) != expected.major_version) {
    return Error::invalid(
               fmt::format("{} is PostgreSQL {} with system identifier {}; cluster {} in the "
                           "repository is PostgreSQL {} with system identifier {}",
                           connection_.describe(), connection_.server_major(),
                           server_.system_identifier, expected.cluster, expected.major_version,
                           expected.system_identifier))
        .with_hint(
            "check the connection in the configuration; a new initdb or pg_upgrade is taken "
            "up by running pitr init again");
  }
  const auto segment_size = TRY(connection_.wal_segment_size(stop_));
  if (segment_size != receiver_.archive_.segment_size()) {
    return Error::invalid(fmt::format("the server's WAL segments have {} bytes, those stored {}",
                                      segment_size.bytes(),
                                      receiver_.archive_.segment_size().bytes()));
  }
  const auto rows = TRY(sql_.query("SELECT pg_is_in_recovery() AS standby", {}, stop_));
  const auto row = TRY(rows.only_row());
  server_is_standby_ = TRY(row.boolean("standby"));
  return {};
}

Result<void> StreamSession::create_slot() {
  TRY(connection_.create_physical_slot(options_.slot_name, true, false, stop_));
  log::info("cluster {}: created replication slot {}", cluster(), options_.slot_name);
  const auto slot = TRY(read_slot(sql_, options_.slot_name, stop_));
  slot_restart_ = slot.restart_lsn;
  return {};
}

// A lost slot protects nothing and 18 refuses it: it is replaced, and the WAL that went with it
// shows as a gap when streaming starts behind it.
Result<void> StreamSession::prepare_slot() {
  auto found = read_slot(sql_, options_.slot_name, stop_);
  if (!found && found.error().kind() == ErrorKind::kNotFound) return create_slot();
  const auto slot = TRY(std::move(found));
  if (!slot.physical) {
    return Error::invalid(fmt::format("replication slot {} is a logical one", slot.name))
        .with_hint("name another slot in the configuration");
  }
  if (slot.wal_status == SlotWalStatus::kLost) {
    log::warning("cluster {}: replication slot {} was lost ({}); replacing it", cluster(),
                 slot.name,
                 slot.invalidation_reason.value_or("max_slot_wal_keep_size was exceeded"));
    TRY(connection_.drop_slot(slot.name, stop_));
    return create_slot();
  }
  if (!slot.restart_lsn) {  // reserves nothing: made by hand, without immediately_reserve
    TRY(connection_.drop_slot(slot.name, stop_));
    return create_slot();
  }
  slot_restart_ = slot.restart_lsn;
  return {};
}

Result<TimelineHistory> StreamSession::fetch_history(TimelineId timeline) {
  if (timeline == TimelineId(1)) return TimelineHistory::without_ancestors(timeline);
  const auto text = TRY(connection_.timeline_history(timeline, stop_));
  TRY(receiver_.archive_.put_file(history_file_name(timeline), text));
  return TimelineHistory::parse(timeline, as_text(text));
}

// archive_command may have brought segments ahead of the stream, and more of them than it missed:
// what the slot still holds is received first. Nothing before the slot's position can be.
Result<StoredWal> StreamSession::stored_without_hole(const TimelineHistory& history,
                                                     SegmentId newest) {
  WalArchive& archive = receiver_.archive_;
  const SegmentSize size = archive.segment_size();
  const TimelineId timeline = newest.timeline;
  std::uint64_t number = newest.number;
  if (const auto begin = history.begin_of(timeline); begin && slot_restart_) {
    const auto first = std::min(size.number_of(std::max(*begin, *slot_restart_)), number);
    const auto complete = TRY(archive.list_segments(timeline, first, number));
    number = first;
    for (const SegmentId segment : complete) {
      if (segment.number == number && number < newest.number) ++number;
    }
    const auto of_hole = TRY(archive.adopt_available({timeline, number}));
    if (of_hole.bytes.empty() && number > first) --number;  // complete, and compared again
  }
  const auto available = TRY(archive.adopt_available({timeline, number}));
  return StoredWal{timeline, number, size.start_of(number) + available.bytes.size()};
}

Result<std::vector<StoredWal>> StreamSession::stored_wal(const TimelineHistory& history) {
  std::vector<StoredWal> stored;
  const auto timelines = TRY(receiver_.archive_.timelines());
  for (const TimelineId timeline : timelines) {
    // What is wrong with a branch that this server left, or never was on, must not keep it waiting.
    if (!history.contains(timeline)) continue;
    TRY(ingest_.seal_complete_tails(timeline));
    const auto newest = TRY(receiver_.archive_.newest_segment(timeline));
    if (!newest) continue;
    const auto guard = stall_watch_.storing();  // anew for each: reading many is no stall
    const auto wal = TRY(stored_without_hole(history, *newest));
    stored.push_back(wal);
  }
  return stored;
}

Result<StartPosition> StreamSession::choose_start() {
  const auto history = TRY(fetch_history(server_.timeline));
  const auto stored = TRY(stored_wal(history));
  const ServerPosition server{server_.position, server_is_standby_, slot_restart_};
  const auto size = receiver_.archive_.segment_size();
  const auto position = TRY(choose_start_position(size, history, server, stored));
  if (receiver_.gone_ == position) return skip_what_is_gone(history, position);
  return position;
}

// The newest stored segment may be gone from the server, since its end was acknowledged: then the
// next one must be there, held by the slot. Where that's gone too, WAL is lost to the repository.
Result<StartPosition> StreamSession::skip_what_is_gone(const TimelineHistory& history,
                                                       const StartPosition& position) {
  const SegmentSize size = receiver_.archive_.segment_size();
  const SegmentId segment{position.timeline, size.number_of(position.start)};
  Lsn missing_from = position.start;
  if (TRY(receiver_.archive_.has_segment(segment))) missing_from = position.start + size.bytes();
  const Lsn from = size.round_down(slot_restart_.value_or(server_.position));
  if (from <= missing_from) return StartPosition{position.timeline, missing_from, false};

  const auto gap = fmt::format("timeline {}: from {} to {}", to_string(position.timeline),
                               to_string(missing_from), to_string(from));
  log::error(
      "cluster {}: WAL is missing for ever, {}: the server removed it before it was received. "
      "Restores can't cross it; take a new base backup now",
      cluster(), gap);
  receiver_.update_status([&](WalReceiverStatus& status) {
    ++status.gaps;
    status.last_gap = gap;
  });
  return StartPosition{history.timeline_at(from), from, false};
}

// The server says that WAL is gone only once the stream is open, and the connection ends with it:
// the next session starts behind it.
Result<std::optional<EndOfTimeline>> StreamSession::stream(const StartPosition& position) {
  auto end = stream_from(position);
  const bool gone = !end && end.error().kind() == ErrorKind::kNotFound &&
                    (!writer_ || writer_->received() == position.start);
  receiver_.gone_.reset();
  if (!gone) return end;
  receiver_.gone_ = position;
  const SegmentSize size = receiver_.archive_.segment_size();
  const SegmentId segment{position.timeline, size.number_of(position.start)};
  if (!TRY(receiver_.archive_.has_segment(segment))) return end;
  return Error::transient(fmt::format(
      "the server no longer has segment {}, which is stored; streaming goes on behind it",
      segment_file_name(segment, size)));
}

Result<std::optional<EndOfTimeline>> StreamSession::stream_from(const StartPosition& position) {
  writer_.reset();
  TRY(connection_.start_replication(options_.slot_name, position.start, position.timeline, stop_));
  {
    const auto guard = stall_watch_.storing();
    writer_ = TRY(StreamWriter::open(ingest_, sealer_, position.timeline, position.start));
  }
  first_received_ = position.start;
  last_fed_back_ = Lsn();
  log::info("cluster {}: streaming timeline {} from {} with slot {}", cluster(),
            to_string(position.timeline), to_string(position.start), options_.slot_name);
  receiver_.update_status([&](WalReceiverStatus& status) {
    status.state = WalReceiverState::kStreaming;
    status.timeline = position.timeline;
    status.received_lsn = status.durable_lsn = status.server_lsn = position.start;
    status.last_error.clear();
    status.last_error_kind.reset();
  });
  return receive_until_end();
}

Result<std::optional<EndOfTimeline>> StreamSession::receive_until_end() {
  const auto& clock = receiver_.clock_;
  pace_.emplace(StreamPace::Limits{options_.watermark_interval, options_.silence_timeout},
                clock.steady_now());
  sight_.reset();
  while (true) {
    const auto pause = pace_->longest_pause(clock.steady_now(), probe_->is_looking());
    auto message = TRY(connection_.receive(pause, stop_));
    message = TRY(take_all_that_has_arrived(std::move(message)));
    TRY(make_durable());
    if (const auto* keepalive = std::get_if<Keepalive>(&message)) note_keepalive(*keepalive);
    if (const auto* end = std::get_if<EndOfTimeline>(&message)) {
      TRY(finish_timeline(*end));
      return std::optional<EndOfTimeline>(*end);
    }
    if (std::holds_alternative<EndOfStream>(message)) return std::optional<EndOfTimeline>();
    if (std::holds_alternative<ReceiveTimeout>(message)) {
      TRY(pace_->check_silence(clock.steady_now()));
    }
    TRY(move_watermark());
    TRY(answer(std::get_if<Keepalive>(&message)));
  }
}

Result<void> StreamSession::answer(const Keepalive* keepalive) {
  const auto now = receiver_.clock_.steady_now();
  const bool is_time = pace_->is_time_to_look(now);
  if (is_time) {
    pace_->note_look(now);
    probe_->look();
  }
  const bool is_asked = keepalive != nullptr && keepalive->reply_requested;
  const bool is_news = acknowledgeable() != last_fed_back_;
  const bool asks = is_time && pace_->is_time_to_ask(now);
  if (!asks && !is_asked && !is_news) return {};
  return send_feedback(asks);
}

// Stores WAL until nothing more is at hand, or there's enough to be made durable at once. Returns
// the message that ended it, if it wasn't WAL.
Result<StreamMessage> StreamSession::take_all_that_has_arrived(StreamMessage message) {
  const Lsn batch_end = writer_->received() + kBatchBytes;
  while (const auto* data = std::get_if<WalData>(&message)) {
    TRY(store(*data));
    if (writer_->received() >= batch_end) return StreamMessage(ReceiveTimeout{});
    message = TRY(connection_.receive(Milliseconds(0), stop_));
  }
  return message;
}

Result<void> StreamSession::store(const WalData& data) {
  if (data.start != writer_->received()) {
    return Error::corrupt(fmt::format("the server sent WAL of {} where {} was due",
                                      to_string(data.start), to_string(writer_->received())));
  }
  pace_->note_wal(receiver_.clock_.steady_now());
  const auto guard = stall_watch_.storing();
  TRY(writer_->write(data.bytes));
  receiver_.update_status([&](WalReceiverStatus& status) {
    status.received_lsn = writer_->received();
    status.server_lsn = std::max({status.server_lsn, data.server_end, writer_->received()});
    status.last_message = data.send_time;
  });
  return {};
}

Result<void> StreamSession::make_durable() {
  const auto guard = stall_watch_.storing();
  TRY(writer_->make_durable());
  receiver_.update_status([&](WalReceiverStatus& status) {
    status.durable_lsn = writer_->durable();
    status.segments_stored = sealer_.segments_stored();
  });
  return {};
}

// What may be told to the server as flushed: durable bytes received on this connection; 0 for none.
// Nothing before the slot's position, since feedback would move the slot back.
Lsn StreamSession::acknowledgeable() const {
  const Lsn durable = writer_->durable();
  if (durable <= first_received_) return Lsn();
  if (slot_restart_ && durable < *slot_restart_) return Lsn();
  return durable;
}

Result<void> StreamSession::send_feedback(bool reply_requested) {
  const Lsn flushed = acknowledgeable();
  Feedback feedback;
  feedback.written = flushed;
  feedback.flushed = flushed;
  feedback.applied = flushed;
  feedback.reply_requested = reply_requested;
  TRY(connection_.send_feedback(feedback, receiver_.clock_.now(), stop_));
  last_fed_back_ = flushed;
  if (flushed.is_none()) return {};
  slot_restart_ = flushed;
  receiver_.update_status([&](WalReceiverStatus& status) { status.acknowledged_lsn = flushed; });
  return {};
}

void StreamSession::note_keepalive(const Keepalive& keepalive) {
  pace_->note_word(receiver_.clock_.steady_now());
  receiver_.update_status([&](WalReceiverStatus& status) {
    status.server_lsn = std::max({status.server_lsn, keepalive.server_end, writer_->received()});
    status.last_message = keepalive.send_time;
  });
}

// One sight at a time: a stream that stays behind a loaded server reaches each of them a little
// later, but the newest one never.
Result<void> StreamSession::move_watermark() {
  if (!sight_) sight_ = probe_->take();
  if (!sight_ || writer_->durable() < sight_->lsn) return {};
  const auto sight = *std::exchange(sight_, std::nullopt);
  const TimelineId timeline = receiver_.status().timeline;
  // While a timeline of the past is streamed, the server commits on another one.
  if (sight.timeline.value_or(timeline) != timeline) return {};
  const Watermark watermark{timeline, writer_->durable(), sight.time - kCommitTimeMargin};
  const auto guard = stall_watch_.storing();
  TRY(receiver_.facts_.put_watermark(watermark));
  receiver_.update_status([&](WalReceiverStatus& status) { status.watermark = watermark; });
  return {};
}

// Bytes of the old timeline behind the switch point stay in its tails; they don't belong to the new
// timeline's history, and whoever reads along that history stops at the switch point.
Result<void> StreamSession::finish_timeline(const EndOfTimeline& end) {
  if (end.next_start > writer_->received()) {
    return Error::corrupt(fmt::format("the timeline ends at {}, but WAL was received up to {} only",
                                      to_string(end.next_start), to_string(writer_->received())));
  }
  if (end.next_timeline <= receiver_.status().timeline) {
    return Error::corrupt(fmt::format("timeline {} cannot follow timeline {}",
                                      to_string(end.next_timeline),
                                      to_string(receiver_.status().timeline)));
  }
  const auto guard = stall_watch_.storing();
  return sealer_.drain();
}

}  // namespace pitr
