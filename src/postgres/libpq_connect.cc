// Connecting, and why it failed.
#include <fmt/format.h>
#include <libpq-fe.h>
#include <poll.h>

#include <vector>

#include "common/log.h"
#include "postgres/libpq_session.h"

namespace pitr::libpq {

static std::string_view field(const pg_result* result, int code) {
  const char* text = PQresultErrorField(result, code);
  return text == nullptr ? std::string_view() : std::string_view(text);
}

// libpq would print the server's notices to standard error.
static void log_notice(void*, const pg_result* result) {
  const auto message = field(result, PG_DIAG_MESSAGE_PRIMARY);
  if (field(result, PG_DIAG_SEVERITY_NONLOCALIZED) == "WARNING") {
    log::warning("PostgreSQL: {}", message);
  } else {
    log::debug("PostgreSQL: {}", message);
  }
}

static pg_conn* start_connecting(const std::string& conninfo, const ConnectionOptions& options) {
  // Settings after dbname win over those inside the connection string, which win over those before
  // it. A peer that is gone without a word is noticed within a minute, not in hours.
  std::vector<const char*> names = {"keepalives_idle",  "keepalives_interval",
                                    "keepalives_count", "tcp_user_timeout",
                                    "dbname",           "application_name"};
  std::vector<const char*> values = {
      "30", "10", "3", "60000", conninfo.c_str(), options.application_name.c_str()};
  if (options.replication == ReplicationMode::kNone) {
    names.push_back("client_encoding");
    values.push_back("UTF8");
  } else {
    names.push_back("replication");
    values.push_back(options.replication == ReplicationMode::kPhysical ? "true" : "database");
  }
  names.push_back(nullptr);
  values.push_back(nullptr);
  return PQconnectStartParams(names.data(), values.data(), 1);
}

Result<void> Session::connect(const std::string& conninfo, const ConnectionOptions& options,
                              std::stop_token stop) {
  TRY(check_conninfo(conninfo));
  const auto where = describe_conninfo(conninfo);
  connection_.reset(start_connecting(conninfo, options));
  if (connection_ == nullptr) return Error::transient("no memory for a connection");
  PQsetNoticeReceiver(connection_.get(), log_notice, nullptr);
  // Only the verbose form of a refused connection's message tells its SQLSTATE.
  PQsetErrorVerbosity(connection_.get(), PQERRORS_VERBOSE);
  const auto deadline = std::chrono::steady_clock::now() + options.connect_timeout;
  // libpq's rule: poll for writing before the first PQconnectPoll.
  PostgresPollingStatusType status = PGRES_POLLING_WRITING;
  while (PQstatus(connection_.get()) != CONNECTION_BAD && status != PGRES_POLLING_OK) {
    if (status == PGRES_POLLING_FAILED) break;
    const bool ready =
        TRY(wait(status == PGRES_POLLING_WRITING ? POLLOUT : POLLIN, deadline, stop));
    if (!ready) {
      return Error::transient(fmt::format("connecting to {}: no answer within {} s", where,
                                          options.connect_timeout.count()));
    }
    status = PQconnectPoll(connection_.get());
  }
  if (PQstatus(connection_.get()) != CONNECTION_OK) return connect_error(where);
  PQsetErrorVerbosity(connection_.get(), PQERRORS_DEFAULT);
  if (PQsetnonblocking(connection_.get(), 1) != 0) return connection_error("connecting");
  return {};
}

// "FATAL:  28P01: password authentication failed": the code and where it stands.
static std::size_t find_sqlstate(std::string_view message) {
  constexpr std::string_view kMark = ":  ";
  for (auto at = message.find(kMark); at != std::string_view::npos;
       at = message.find(kMark, at + 1)) {
    const auto code = message.substr(at + kMark.size(), 6);
    if (code.size() == 6 && code[5] == ':' &&
        code.find_first_not_of("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") == 5) {
      return at + kMark.size();
    }
  }
  return std::string_view::npos;
}

// Of a verbose message, what a person wants to read: no code, no source location.
static std::string readable(std::string message) {
  for (auto at = find_sqlstate(message); at != std::string::npos; at = find_sqlstate(message)) {
    message.erase(at, 7);
  }
  if (const auto location = message.find("\nLOCATION:"); location != std::string::npos) {
    message.erase(location);
  }
  return on_one_line(message);
}

Error Session::connect_error(const std::string& where) {
  const std::string message = PQerrorMessage(connection_.get());
  last_sqlstate_.clear();
  auto kind = ErrorKind::kTransient;
  if (const auto at = find_sqlstate(message); at != std::string::npos) {
    last_sqlstate_ = message.substr(at, 5);
    kind = kind_of_sqlstate(last_sqlstate_);
  } else if (PQconnectionNeedsPassword(connection_.get()) != 0) {
    kind = ErrorKind::kDenied;
  }
  const auto text = fmt::format("connecting to {}: {}", where, readable(message));
  if (last_sqlstate_.empty()) return Error(kind, text);
  return Error(kind, fmt::format("{} (SQLSTATE {})", text, last_sqlstate_));
}

}  // namespace pitr::libpq
