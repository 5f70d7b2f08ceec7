// An SQL connection to a PostgreSQL server (libpq, non-blocking underneath).
//
// Owned by one thread at a time; not thread-safe. Every wait ends at once when the stop token
// fires (but for the resolver's look-up of a host name), with kCancelled; the connection is then of
// no further use and must be closed. Errors: unreachable, starting up, shutting down or too many
// connections are kTransient; a failed authentication or an unknown role (SQLSTATE 28xxx) and
// missing privileges (42501) are kDenied; a database that does not exist (3D000) is kInvalid. SQL
// errors name their SQLSTATE, which last_sqlstate() repeats. No message ever contains a password.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "common/clock.h"
#include "common/result.h"
#include "postgres/lsn.h"

namespace pitr {

namespace libpq {
class Session;
}

enum class ReplicationMode {
  kNone,
  kPhysical,  // replication=true: replication commands only
  kDatabase,  // replication=database: replication commands and SQL
};

struct ConnectionOptions {
  ReplicationMode replication = ReplicationMode::kNone;
  std::string application_name = "pitr";
  Seconds connect_timeout{10};  // for all hosts of the string together
};

using SqlParameters = std::vector<std::optional<std::string>>;

// What a statement returned: text values, NULL as nullopt. Owns its values.
class QueryResult {
 public:
  class Row {
   public:
    // NULL is nullopt. A column that the result doesn't have is kInternal.
    Result<std::optional<std::string>> value(std::string_view column) const;
    // These refuse NULL (kInvalid) and text of the wrong form (kCorrupt).
    Result<std::string> text(std::string_view column) const;
    Result<std::uint64_t> u64(std::string_view column) const;
    Result<bool> boolean(std::string_view column) const;
    Result<Lsn> lsn(std::string_view column) const;
    Result<TimelineId> timeline(std::string_view column) const;

   private:
    friend class QueryResult;
    Row(const QueryResult& result, std::size_t index) : result_(&result), index_(index) {}
    const QueryResult* result_;
    std::size_t index_;
  };

  QueryResult() = default;
  QueryResult(std::vector<std::string> columns, std::vector<std::optional<std::string>> values)
      : columns_(std::move(columns)), values_(std::move(values)) {}

  std::size_t size() const { return columns_.empty() ? 0 : values_.size() / columns_.size(); }
  bool empty() const { return size() == 0; }
  bool has_column(std::string_view column) const;
  Row operator[](std::size_t index) const { return Row(*this, index); }
  // The only row; any other number of rows is kInternal.
  Result<Row> only_row() const;

 private:
  std::vector<std::string> columns_;
  std::vector<std::optional<std::string>> values_;  // row by row
};

class Connection {
 public:
  // conninfo as libpq takes it: "host=... dbname=..." or a postgresql:// address.
  static Result<Connection> open(const std::string& conninfo, const ConnectionOptions& options = {},
                                 std::stop_token stop = {});
  Connection(Connection&&) noexcept;
  Connection& operator=(Connection&&) noexcept;
  ~Connection();

  // Without parameters any number of statements; the last one's rows are returned. A replication
  // connection takes none ($1, $2, ... need the extended protocol).
  Result<QueryResult> query(const std::string& sql, const SqlParameters& parameters = {},
                            std::stop_token stop = {});
  Result<void> command(const std::string& sql, const SqlParameters& parameters = {},
                       std::stop_token stop = {});

  int server_version_num() const;  // 150018
  int server_major() const { return server_version_num() / 10000; }
  int backend_pid() const;
  std::string last_sqlstate() const;  // of the last failed statement, or ""
  std::string describe() const;       // "host=... port=... user=... dbname=..."
  // Quoted for use in SQL text.
  Result<std::string> quote_identifier(std::string_view name) const;
  Result<std::string> quote_literal(std::string_view text) const;

 private:
  explicit Connection(std::unique_ptr<libpq::Session> session);
  std::unique_ptr<libpq::Session> session_;
};

// kInvalid, without quoting it, for a connection string that libpq cannot read.
Result<void> check_conninfo(const std::string& conninfo);

// "host=... port=... user=... dbname=..." of a connection string: fit for logs. An unreadable
// string gives a fixed text, never the string itself.
std::string describe_conninfo(const std::string& conninfo);

}  // namespace pitr
