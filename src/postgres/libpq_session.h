// One libpq connection, driven without blocking: what connection.cc, replication.cc and
// base_backup_stream.cc share. Private to postgres/; <libpq-fe.h> stays in the .cc files.
//
// Owned by one thread at a time. Every wait polls the socket together with an eventfd that the stop
// token writes to, so a stop ends it at once (kCancelled); afterwards the session can only be
// closed.
#pragma once

#include <memory>
#include <optional>
#include <stop_token>
#include <string>

#include "common/bytes.h"
#include "common/clock.h"
#include "common/file.h"
#include "common/result.h"
#include "postgres/connection.h"

struct pg_conn;
struct pg_result;

namespace pitr::libpq {

// libpq's messages have several lines, the further ones indented: "a\n\tb\n" gives "a; b".
std::string on_one_line(std::string_view message);

struct ConnectionCloser {
  void operator()(pg_conn* connection) const;
};
struct ResultClearer {
  void operator()(pg_result* result) const;
};
struct MemoryFreer {
  void operator()(char* memory) const;
};
using ResultHandle = std::unique_ptr<pg_result, ResultClearer>;

class Session {
 public:
  static Result<std::unique_ptr<Session>> open(const std::string& conninfo,
                                               const ConnectionOptions& options,
                                               std::stop_token stop);
  ~Session();

  // Sends a statement. Without parameters by the simple protocol, the only one a walsender knows.
  Result<void> send(const std::string& sql, const SqlParameters& parameters, std::stop_token stop);
  // The statement's next result, of whatever status; null when there are no more.
  Result<ResultHandle> next_result(std::stop_token stop);
  // send() and next_result() to the end: the last result, or the first error.
  Result<ResultHandle> run(const std::string& sql, const SqlParameters& parameters,
                           std::stop_token stop);
  // Reads results to the end; the first error, if any.
  Result<void> drain(std::stop_token stop);

  enum class CopyEvent { kData, kEnd, kTimeout };
  // Without a deadline waits for as long as it takes. After kData, copy_data() is the message until
  // the next call; after kEnd, next_result() says how the COPY ended.
  Result<CopyEvent> receive_copy(std::optional<SteadyTime> deadline, std::stop_token stop);
  ByteView copy_data() const { return copy_data_; }
  Result<void> send_copy(ByteView message, std::stop_token stop);
  Result<void> send_copy_end(std::stop_token stop);

  // The error of a failed result, its kind by SQLSTATE; remembered for last_sqlstate().
  Error error_of(const pg_result* result);
  // The error of the connection itself: lost, or refused by libpq.
  Error connection_error(std::string_view doing);

  pg_conn* handle() const { return connection_.get(); }
  int fd() const;
  int server_version_num() const;
  const std::string& last_sqlstate() const { return last_sqlstate_; }
  // The server's function that raised the last error: unlike messages it is never translated.
  const std::string& last_source_function() const { return last_source_function_; }
  std::string describe() const;

 private:
  explicit Session(UniqueFd stop_event) : stop_event_(std::move(stop_event)) {}
  Result<void> connect(const std::string& conninfo, const ConnectionOptions& options,
                       std::stop_token stop);
  Error connect_error(const std::string& where);
  // False: the deadline passed.
  Result<bool> wait(short events, std::optional<SteadyTime> deadline, const std::stop_token& stop);
  Result<void> flush(const std::stop_token& stop);

  UniqueFd stop_event_;
  std::unique_ptr<pg_conn, ConnectionCloser> connection_;
  std::unique_ptr<char, MemoryFreer> copy_buffer_;
  ByteView copy_data_;
  std::string last_sqlstate_;
  std::string last_source_function_;
};

// The kind that an SQLSTATE stands for.
ErrorKind kind_of_sqlstate(std::string_view sqlstate);

}  // namespace pitr::libpq
