#include "postgres/replication.h"

#include <fmt/format.h>
#include <libpq-fe.h>

#include <array>

#include "postgres/libpq_session.h"
#include "postgres/parse_number.h"

namespace pitr {

using libpq::ResultHandle;
using libpq::Session;

static std::optional<std::string_view> cell(const ResultHandle& result, int row, int column) {
  if (PQgetisnull(result.get(), row, column) != 0) return std::nullopt;
  return std::string_view(PQgetvalue(result.get(), row, column),
                          static_cast<std::size_t>(PQgetlength(result.get(), row, column)));
}

static Error unexpected(std::string_view command) {
  return Error::internal(fmt::format("{}: the server's answer has an unknown form", command));
}

static Result<ResultHandle> one_row(Result<ResultHandle> answer, std::string_view command,
                                    int columns) {
  auto result = TRY(with_context(std::move(answer), command));
  if (PQresultStatus(result.get()) != PGRES_TUPLES_OK || PQntuples(result.get()) != 1 ||
      PQnfields(result.get()) < columns) {
    return unexpected(command);
  }
  return result;
}

// ReplicationSlotValidateName (src/backend/replication/slot.c).
static Result<void> check_slot_name(const std::string& name) {
  const bool valid =
      !name.empty() && name.size() <= 63 &&
      name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_") == std::string::npos;
  if (valid) return {};
  return Error::invalid(fmt::format("\"{}\" is not the name of a replication slot", name))
      .with_hint("use lower-case letters, digits and underscores, 63 at most");
}

ReplicationConnection::ReplicationConnection(std::unique_ptr<Session> session)
    : session_(std::move(session)) {}
ReplicationConnection::ReplicationConnection(ReplicationConnection&&) noexcept = default;
ReplicationConnection& ReplicationConnection::operator=(ReplicationConnection&&) noexcept = default;
ReplicationConnection::~ReplicationConnection() = default;

Result<ReplicationConnection> ReplicationConnection::open(const std::string& conninfo,
                                                          ConnectionOptions options,
                                                          std::stop_token stop) {
  if (options.replication == ReplicationMode::kNone) {
    options.replication = ReplicationMode::kPhysical;
  }
  auto session = TRY(Session::open(conninfo, options, stop));
  if (session->server_version_num() < 130000) {
    return Error::invalid(fmt::format("{}: PostgreSQL {} is older than 13, the oldest supported",
                                      session->describe(), session->server_version_num() / 10000));
  }
  return ReplicationConnection(std::move(session));
}

Result<SystemIdentity> ReplicationConnection::identify_system(std::stop_token stop) {
  constexpr std::string_view kCommand = "IDENTIFY_SYSTEM";
  const auto row = TRY(one_row(session_->run(std::string(kCommand), {}, stop), kCommand, 3));
  const auto identifier = cell(row, 0, 0);
  const auto timeline = cell(row, 0, 1);
  const auto position = cell(row, 0, 2);
  if (!identifier || !timeline || !position) return unexpected(kCommand);
  SystemIdentity identity;
  const auto system_identifier = parse_number<std::uint64_t>(*identifier);
  if (!system_identifier) return unexpected(kCommand);
  identity.system_identifier = *system_identifier;
  identity.timeline = TRY(TimelineId::parse_decimal(*timeline));
  identity.position = TRY(Lsn::parse(*position));
  return identity;
}

Result<SegmentSize> ReplicationConnection::wal_segment_size(std::stop_token stop) {
  constexpr std::string_view kCommand = "SHOW wal_segment_size";
  const auto row = TRY(one_row(session_->run(std::string(kCommand), {}, stop), kCommand, 1));
  const auto text = cell(row, 0, 0).value_or("");
  const auto unit = text.size() > 2 ? text.substr(text.size() - 2) : std::string_view();
  if (unit != "MB" && unit != "GB") return unexpected(kCommand);
  const auto count = parse_number<std::uint32_t>(text.substr(0, text.size() - 2));
  if (!count) return unexpected(kCommand);
  return SegmentSize::from_bytes(std::uint64_t{*count} << (unit == "MB" ? 20 : 30));
}

Result<void> ReplicationConnection::create_physical_slot(const std::string& name, bool reserve_wal,
                                                         bool temporary, std::stop_token stop) {
  TRY(check_slot_name(name));
  // From 15 on options stand in parentheses; the older words are still read, but on their way out.
  const auto* reserve = !reserve_wal           ? ""
                        : server_major() >= 15 ? " (RESERVE_WAL)"
                                               : " RESERVE_WAL";
  const auto command = fmt::format("CREATE_REPLICATION_SLOT \"{}\"{} PHYSICAL{}", name,
                                   temporary ? " TEMPORARY" : "", reserve);
  TRY(with_context(session_->run(command, {}, stop),
                   fmt::format("creating replication slot {}", name)));
  return {};
}

Result<SlotPosition> ReplicationConnection::read_slot_position(const std::string& name,
                                                               std::stop_token stop) {
  TRY(check_slot_name(name));
  if (server_major() < 15) {
    return Error::invalid("READ_REPLICATION_SLOT needs PostgreSQL 15; read the slot by SQL");
  }
  constexpr std::string_view kCommand = "READ_REPLICATION_SLOT";
  const auto row =
      TRY(one_row(session_->run(fmt::format("{} \"{}\"", kCommand, name), {}, stop), kCommand, 3));
  if (!cell(row, 0, 0)) return Error::not_found(fmt::format("no replication slot {}", name));
  SlotPosition position;
  if (const auto lsn = cell(row, 0, 1)) position.restart_lsn = TRY(Lsn::parse(*lsn));
  if (const auto timeline = cell(row, 0, 2)) {
    position.restart_timeline = TRY(TimelineId::parse_decimal(*timeline));
  }
  return position;
}

Result<void> ReplicationConnection::drop_slot(const std::string& name, std::stop_token stop) {
  TRY(check_slot_name(name));
  TRY(with_context(session_->run(fmt::format("DROP_REPLICATION_SLOT \"{}\"", name), {}, stop),
                   fmt::format("dropping replication slot {}", name)));
  return {};
}

Result<Bytes> ReplicationConnection::timeline_history(TimelineId timeline, std::stop_token stop) {
  const auto command = fmt::format("TIMELINE_HISTORY {}", timeline.value());
  const auto row = TRY(one_row(session_->run(command, {}, stop), command, 2));
  if (cell(row, 0, 0) != history_file_name(timeline)) return unexpected(command);
  const auto content = as_bytes(cell(row, 0, 1).value_or(""));
  return Bytes(content.begin(), content.end());
}

// What the walsender reports about a start position has no SQLSTATE of its own; the functions that
// raise it are the same in 13-18, while messages follow the server's language.
static Error streaming_error(Session& session, const pg_result* result) {
  auto error = session.error_of(result);
  const auto& function = session.last_source_function();
  const bool bad_start = function == "StartReplication" || function == "tliSwitchPoint";
  if (session.last_sqlstate() == "XX000" && bad_start) {
    return Error::conflict(error.message())
        .with_hint(
            "the server lacks WAL that the repository has: it was restored to an earlier "
            "point, or it is another server");
  }
  return error;
}

static Result<EndOfTimeline> next_timeline_of(const ResultHandle& row) {
  const auto timeline = cell(row, 0, 0);
  const auto start = cell(row, 0, 1);
  if (PQntuples(row.get()) != 1 || PQnfields(row.get()) < 2 || !timeline || !start) {
    return unexpected("START_REPLICATION");
  }
  EndOfTimeline end;
  end.next_timeline = TRY(TimelineId::parse_decimal(*timeline));
  end.next_start = TRY(Lsn::parse(*start));
  return end;
}

Result<void> ReplicationConnection::start_replication(const std::optional<std::string>& slot,
                                                      Lsn start, TimelineId timeline,
                                                      std::stop_token stop) {
  if (state_ != State::kIdle) return Error::internal("this connection is streaming already");
  if (slot) TRY(check_slot_name(*slot));
  const auto slot_words = slot ? fmt::format(" SLOT \"{}\"", *slot) : std::string();
  const auto command = fmt::format("START_REPLICATION{} PHYSICAL {} TIMELINE {}", slot_words,
                                   to_string(start), timeline.value());
  TRY(session_->send(command, {}, stop));
  const auto result = TRY(session_->next_result(stop));
  switch (PQresultStatus(result.get())) {
    case PGRES_COPY_BOTH:
      state_ = State::kStreaming;
      return {};
    case PGRES_TUPLES_OK:  // the start is the switch point: there is nothing to stream
      pending_end_ = TRY(next_timeline_of(result));
      TRY(session_->drain(stop));
      state_ = State::kStreaming;
      return {};
    default:
      break;
  }
  if (result == nullptr) return session_->connection_error(command);
  auto error = streaming_error(*session_, result.get()).with_context(command);
  TRY(session_->drain(stop));
  return error;
}

// The server has sent CopyDone (end of a historic timeline), CommandComplete (clean shutdown) or an
// error (walsender.c, StartReplication and WalSndDone).
Result<StreamMessage> ReplicationConnection::finish_stream(std::stop_token stop) {
  state_ = State::kEnded;
  auto result = TRY(session_->next_result(stop));
  if (PQresultStatus(result.get()) == PGRES_COPY_IN) {
    TRY(session_->send_copy_end(stop));
    result = TRY(session_->next_result(stop));
  }
  if (result == nullptr) return session_->connection_error("streaming");
  switch (PQresultStatus(result.get())) {
    case PGRES_COMMAND_OK:
      return EndOfStream{};
    case PGRES_TUPLES_OK: {
      const auto end = TRY(next_timeline_of(result));
      TRY(session_->drain(stop));
      state_ = State::kIdle;
      return end;
    }
    default:
      return streaming_error(*session_, result.get());
  }
}

static Result<StreamMessage> decode_message(ByteView message) {
  constexpr std::size_t kDataHeaderBytes = 25;
  constexpr std::size_t kKeepaliveBytes = 18;
  const auto i64 = [&](std::size_t at) { return load_big_endian<std::uint64_t>(&message[at]); };
  const auto time = [&](std::size_t at) {
    return Timestamp::from_postgres_us(static_cast<std::int64_t>(i64(at)));
  };
  if (message.size() >= kDataHeaderBytes && message[0] == 'w') {
    return WalData{.start = Lsn(i64(1)),
                   .server_end = Lsn(i64(9)),
                   .send_time = time(17),
                   .bytes = message.subspan(kDataHeaderBytes)};
  }
  if (message.size() == kKeepaliveBytes && message[0] == 'k') {
    return Keepalive{
        .server_end = Lsn(i64(1)), .send_time = time(9), .reply_requested = message[17] != 0};
  }
  return Error::corrupt(
      fmt::format("a replication message of {} bytes has an unknown form", message.size()));
}

Result<StreamMessage> ReplicationConnection::receive(Milliseconds timeout, std::stop_token stop) {
  if (state_ != State::kStreaming) return Error::internal("this connection is not streaming");
  if (pending_end_) {
    const StreamMessage end = *std::exchange(pending_end_, std::nullopt);
    state_ = State::kIdle;
    return end;
  }
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  const auto event = TRY(session_->receive_copy(deadline, stop));
  switch (event) {
    case Session::CopyEvent::kData:
      return decode_message(session_->copy_data());
    case Session::CopyEvent::kEnd:
      return finish_stream(stop);
    case Session::CopyEvent::kTimeout:
      break;
  }
  return ReceiveTimeout{};
}

Result<void> ReplicationConnection::send_feedback(const Feedback& feedback, Timestamp now,
                                                  std::stop_token stop) {
  if (state_ != State::kStreaming) return Error::internal("this connection is not streaming");
  if (pending_end_) return {};  // the server is not in COPY: nobody would read it
  std::array<std::uint8_t, 34> message{'r'};
  store_big_endian(&message[1], feedback.written.value());
  store_big_endian(&message[9], feedback.flushed.value());
  store_big_endian(&message[17], feedback.applied.value());
  store_big_endian(&message[25], static_cast<std::uint64_t>(now.postgres_us()));
  message[33] = feedback.reply_requested ? 1 : 0;
  return session_->send_copy(message, stop);
}

Result<void> ReplicationConnection::stop_replication(std::stop_token stop) {
  if (state_ != State::kStreaming) return Error::internal("this connection is not streaming");
  state_ = State::kEnded;
  if (std::exchange(pending_end_, std::nullopt)) {
    state_ = State::kIdle;
    return {};
  }
  TRY(session_->send_copy_end(stop));
  auto event = Session::CopyEvent::kData;
  while (event == Session::CopyEvent::kData)
    event = TRY(session_->receive_copy(std::nullopt, stop));
  TRY(session_->drain(stop));
  state_ = State::kIdle;
  return {};
}

int ReplicationConnection::fd() const {
  return session_->fd();
}
int ReplicationConnection::server_version_num() const {
  return session_->server_version_num();
}
std::string ReplicationConnection::last_sqlstate() const {
  return session_->last_sqlstate();
}
std::string ReplicationConnection::describe() const {
  return session_->describe();
}

}  // namespace pitr
