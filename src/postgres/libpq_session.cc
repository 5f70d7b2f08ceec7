#include "postgres/libpq_session.h"

#include <fmt/format.h>
#include <libpq-fe.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <limits>
#include <vector>

namespace pitr::libpq {

void ConnectionCloser::operator()(pg_conn* connection) const {
  PQfinish(connection);
}
void ResultClearer::operator()(pg_result* result) const {
  PQclear(result);
}
void MemoryFreer::operator()(char* memory) const {
  PQfreemem(memory);
}

static Error stopped() {
  return Error::cancelled("stopped while waiting for PostgreSQL");
}

std::string on_one_line(std::string_view message) {
  static constexpr std::string_view kBreaks = "\n\r\t ";
  std::string line;
  while (!message.empty()) {
    const auto end = std::min(message.find('\n'), message.size());
    auto part = message.substr(0, end);
    message.remove_prefix(std::min(end + 1, message.size()));
    part.remove_prefix(std::min(part.find_first_not_of(kBreaks), part.size()));
    part = part.substr(0, part.find_last_not_of(kBreaks) + 1);
    if (part.empty()) continue;
    line.append(line.empty() ? "" : "; ").append(part);
  }
  return line;
}

static std::string_view field(const pg_result* result, int code) {
  const char* text = PQresultErrorField(result, code);
  return text == nullptr ? std::string_view() : std::string_view(text);
}

Session::~Session() = default;

Result<std::unique_ptr<Session>> Session::open(const std::string& conninfo,
                                               const ConnectionOptions& options,
                                               std::stop_token stop) {
  UniqueFd event(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!event) return Error::from_errno(errno, "making an eventfd");
  std::unique_ptr<Session> session(new Session(std::move(event)));
  TRY(session->connect(conninfo, options, stop));
  return session;
}

Result<bool> Session::wait(short events, std::optional<SteadyTime> deadline,
                           const std::stop_token& stop) {
  // The callback may run in another thread: it only writes to the eventfd.
  const std::stop_callback wake(stop, [fd = stop_event_.get()] { ::eventfd_write(fd, 1); });
  while (true) {
    if (stop.stop_requested()) return stopped();
    int timeout_ms = -1;
    if (deadline) {
      const auto left =
          std::chrono::ceil<Milliseconds>(*deadline - std::chrono::steady_clock::now());
      timeout_ms = static_cast<int>(
          std::clamp<std::int64_t>(left.count(), 0, std::numeric_limits<int>::max()));
    }
    std::array<pollfd, 2> polled{pollfd{fd(), events, 0}, pollfd{stop_event_.get(), POLLIN, 0}};
    if (polled[0].fd < 0) return connection_error("waiting for the server");
    const int ready = ::poll(polled.data(), polled.size(), timeout_ms);
    if (ready < 0 && errno != EINTR) return Error::from_errno(errno, "polling a connection");
    if (ready == 0) return false;
    if (ready > 0 && polled[1].revents != 0) {
      // Either this token fired, or an earlier call's did and left the event set.
      eventfd_t ignored = 0;
      ::eventfd_read(stop_event_.get(), &ignored);
      continue;
    }
    if (ready > 0 && polled[0].revents != 0) return true;
  }
}

Result<void> Session::flush(const std::stop_token& stop) {
  while (true) {
    const int left = PQflush(connection_.get());
    if (left == 0) return {};
    if (left < 0) return connection_error("sending");
    // The server may itself be blocked on sending: take what it sends, or both wait forever.
    TRY(wait(POLLIN | POLLOUT, std::nullopt, stop));
    if (PQconsumeInput(connection_.get()) == 0) return connection_error("sending");
  }
}

Result<void> Session::send(const std::string& sql, const SqlParameters& parameters,
                           std::stop_token stop) {
  int sent = 0;
  if (parameters.empty()) {
    sent = PQsendQuery(connection_.get(), sql.c_str());
  } else {
    std::vector<const char*> values;
    for (const auto& parameter : parameters) {
      values.push_back(parameter ? parameter->c_str() : nullptr);
    }
    sent = PQsendQueryParams(connection_.get(), sql.c_str(), static_cast<int>(values.size()),
                             nullptr, values.data(), nullptr, nullptr, 0);
  }
  if (sent == 0) return connection_error("sending a statement");
  return flush(stop);
}

Result<ResultHandle> Session::next_result(std::stop_token stop) {
  while (PQisBusy(connection_.get()) != 0) {
    TRY(wait(POLLIN, std::nullopt, stop));
    // After a failure PQgetResult gives what the server last said, or the loss of the connection.
    if (PQconsumeInput(connection_.get()) == 0) break;
  }
  return ResultHandle(PQgetResult(connection_.get()));
}

static bool is_failure(const pg_result* result) {
  const auto status = PQresultStatus(result);
  return status == PGRES_FATAL_ERROR || status == PGRES_BAD_RESPONSE;
}

Result<ResultHandle> Session::run(const std::string& sql, const SqlParameters& parameters,
                                  std::stop_token stop) {
  TRY(send(sql, parameters, stop));
  ResultHandle last;
  std::optional<Error> failure;
  while (true) {
    auto result = TRY(next_result(stop));
    if (result == nullptr) break;
    const auto status = PQresultStatus(result.get());
    if (status == PGRES_COPY_IN || status == PGRES_COPY_OUT || status == PGRES_COPY_BOTH) {
      return Error::internal("a COPY was started where rows were expected");
    }
    if (is_failure(result.get()) && !failure) failure = error_of(result.get());
    last = std::move(result);
  }
  if (failure) return *failure;
  if (last == nullptr) return connection_error("running a statement");
  return last;
}

Result<void> Session::drain(std::stop_token stop) {
  std::optional<Error> failure;
  while (true) {
    const auto result = TRY(next_result(stop));
    if (result == nullptr) break;
    if (is_failure(result.get()) && !failure) failure = error_of(result.get());
  }
  if (failure) return *failure;
  return {};
}

Result<Session::CopyEvent> Session::receive_copy(std::optional<SteadyTime> deadline,
                                                 std::stop_token stop) {
  copy_buffer_.reset();
  copy_data_ = {};
  bool lost = false;
  while (true) {
    if (stop.stop_requested()) return stopped();
    char* buffer = nullptr;
    const int size = PQgetCopyData(connection_.get(), &buffer, 1);
    if (size > 0) {
      copy_buffer_.reset(buffer);
      copy_data_ = as_bytes({buffer, static_cast<std::size_t>(size)});
      return CopyEvent::kData;
    }
    if (size == -1) return CopyEvent::kEnd;
    if (size == -2 || lost) return connection_error("receiving");
    const bool readable = TRY(wait(POLLIN, deadline, stop));
    if (!readable) return CopyEvent::kTimeout;
    // What arrived before the connection was lost is delivered first: it may say why.
    lost = PQconsumeInput(connection_.get()) == 0;
  }
}

Result<void> Session::send_copy(ByteView message, std::stop_token stop) {
  const auto text = as_text(message);
  while (true) {
    const int queued = PQputCopyData(connection_.get(), text.data(), static_cast<int>(text.size()));
    if (queued < 0) return connection_error("sending");
    TRY(flush(stop));
    if (queued > 0) return {};
  }
}

Result<void> Session::send_copy_end(std::stop_token stop) {
  while (true) {
    const int queued = PQputCopyEnd(connection_.get(), nullptr);
    if (queued < 0) return connection_error("ending the stream");
    TRY(flush(stop));
    if (queued > 0) return {};
  }
}

Error Session::error_of(const pg_result* result) {
  last_sqlstate_ = field(result, PG_DIAG_SQLSTATE);
  last_source_function_ = field(result, PG_DIAG_SOURCE_FUNCTION);
  if (last_sqlstate_.empty()) {
    return Error::transient(
        fmt::format("{}: {}", describe(), on_one_line(PQresultErrorMessage(result))));
  }
  auto message = std::string(field(result, PG_DIAG_MESSAGE_PRIMARY));
  if (const auto detail = field(result, PG_DIAG_MESSAGE_DETAIL); !detail.empty()) {
    message += fmt::format(" ({})", detail);
  }
  Error error(kind_of_sqlstate(last_sqlstate_),
              fmt::format("PostgreSQL says: {} (SQLSTATE {})", message, last_sqlstate_));
  const auto hint = field(result, PG_DIAG_MESSAGE_HINT);
  if (hint.empty()) return error;
  return std::move(error).with_hint(std::string(hint));
}

Error Session::connection_error(std::string_view doing) {
  last_sqlstate_.clear();
  last_source_function_.clear();
  const auto said = on_one_line(PQerrorMessage(connection_.get()));
  return Error::transient(fmt::format("{}: {}: {}", describe(), doing,
                                      said.empty() ? "the connection was closed" : said));
}

int Session::fd() const {
  return PQsocket(connection_.get());
}
int Session::server_version_num() const {
  return PQserverVersion(connection_.get());
}

std::string Session::describe() const {
  const auto text = [](const char* value) { return value == nullptr ? "" : value; };
  const auto* connection = connection_.get();
  return fmt::format("host={} port={} user={} dbname={}", text(PQhost(connection)),
                     text(PQport(connection)), text(PQuser(connection)), text(PQdb(connection)));
}

ErrorKind kind_of_sqlstate(std::string_view sqlstate) {
  struct Rule {
    std::string_view prefix;
    ErrorKind kind;
  };
  // The first match counts.
  static constexpr std::array kRules = {
      Rule{"28", ErrorKind::kDenied},        // authentication, unknown role, no pg_hba.conf line
      Rule{"42501", ErrorKind::kDenied},     // insufficient privilege
      Rule{"08", ErrorKind::kTransient},     // connection
      Rule{"40", ErrorKind::kTransient},     // deadlock, serialization
      Rule{"53400", ErrorKind::kInvalid},    // a configured limit, such as max_replication_slots
      Rule{"53", ErrorKind::kTransient},     // out of memory, disk, connections
      Rule{"55006", ErrorKind::kConflict},   // object in use
      Rule{"55P03", ErrorKind::kTransient},  // lock not available
      Rule{"57P04", ErrorKind::kInvalid},    // database dropped
      Rule{"57", ErrorKind::kTransient},     // shutdown, starting up, cancelled
      Rule{"42704", ErrorKind::kNotFound},   // undefined object, such as a slot
      Rule{"42710", ErrorKind::kConflict},   // duplicate object
      Rule{"58P01", ErrorKind::kNotFound},   // undefined file
      Rule{"58", ErrorKind::kTransient},     // I/O error
      Rule{"XX001", ErrorKind::kCorrupt},    // data corrupted
      Rule{"XX002", ErrorKind::kCorrupt},    // index corrupted
  };
  for (const auto& rule : kRules) {
    if (sqlstate.starts_with(rule.prefix)) return rule.kind;
  }
  return ErrorKind::kInvalid;
}

}  // namespace pitr::libpq
