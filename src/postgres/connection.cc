#include "postgres/connection.h"

#include <fmt/format.h>
#include <libpq-fe.h>

#include <algorithm>
#include <array>

#include "postgres/libpq_session.h"
#include "postgres/parse_number.h"

namespace pitr {

bool QueryResult::has_column(std::string_view column) const {
  return std::ranges::find(columns_, column) != columns_.end();
}

Result<QueryResult::Row> QueryResult::only_row() const {
  if (size() != 1) return Error::internal(fmt::format("{} rows where one was expected", size()));
  return (*this)[0];
}

Result<std::optional<std::string>> QueryResult::Row::value(std::string_view column) const {
  const auto& columns = result_->columns_;
  const auto found = std::ranges::find(columns, column);
  if (found == columns.end() || index_ >= result_->size()) {
    return Error::internal(fmt::format("no column {} in row {} of a result", column, index_));
  }
  const auto at = static_cast<std::size_t>(found - columns.begin());
  return result_->values_[index_ * columns.size() + at];
}

Result<std::string> QueryResult::Row::text(std::string_view column) const {
  auto found = TRY(value(column));
  if (!found) return Error::invalid(fmt::format("{} is null", column));
  return std::move(*found);
}

static Error malformed(std::string_view column, std::string_view text, std::string_view type) {
  return Error::corrupt(fmt::format("{} is \"{}\", not {}", column, text, type));
}

Result<std::uint64_t> QueryResult::Row::u64(std::string_view column) const {
  const auto found = TRY(text(column));
  const auto number = parse_number<std::uint64_t>(found);
  if (!number) return malformed(column, found, "a number");
  return *number;
}

Result<bool> QueryResult::Row::boolean(std::string_view column) const {
  const auto found = TRY(text(column));
  if (found != "t" && found != "f") return malformed(column, found, "a boolean");
  return found == "t";
}

Result<Lsn> QueryResult::Row::lsn(std::string_view column) const {
  const auto found = TRY(text(column));
  const auto parsed = Lsn::parse(found);
  if (!parsed) return malformed(column, found, "an LSN");
  return *parsed;
}

Result<TimelineId> QueryResult::Row::timeline(std::string_view column) const {
  const auto found = TRY(text(column));
  const auto parsed = TimelineId::parse_decimal(found);
  if (!parsed) return malformed(column, found, "a timeline");
  return *parsed;
}

Connection::Connection(std::unique_ptr<libpq::Session> session) : session_(std::move(session)) {}
Connection::Connection(Connection&&) noexcept = default;
Connection& Connection::operator=(Connection&&) noexcept = default;
Connection::~Connection() = default;

Result<Connection> Connection::open(const std::string& conninfo, const ConnectionOptions& options,
                                    std::stop_token stop) {
  auto session = TRY(libpq::Session::open(conninfo, options, stop));
  return Connection(std::move(session));
}

static QueryResult rows_of(const pg_result* result) {
  const int width = PQnfields(result);
  const int height = PQntuples(result);
  std::vector<std::string> columns;
  for (int column = 0; column < width; ++column) columns.emplace_back(PQfname(result, column));
  std::vector<std::optional<std::string>> values;
  values.reserve(static_cast<std::size_t>(width) * static_cast<std::size_t>(height));
  for (int row = 0; row < height; ++row) {
    for (int column = 0; column < width; ++column) {
      if (PQgetisnull(result, row, column) != 0) {
        values.emplace_back(std::nullopt);
      } else {
        values.emplace_back(
            std::string(PQgetvalue(result, row, column),
                        static_cast<std::size_t>(PQgetlength(result, row, column))));
      }
    }
  }
  return {std::move(columns), std::move(values)};
}

Result<QueryResult> Connection::query(const std::string& sql, const SqlParameters& parameters,
                                      std::stop_token stop) {
  const auto result = TRY(session_->run(sql, parameters, stop));
  return rows_of(result.get());
}

Result<void> Connection::command(const std::string& sql, const SqlParameters& parameters,
                                 std::stop_token stop) {
  TRY(session_->run(sql, parameters, stop));
  return {};
}

int Connection::server_version_num() const {
  return session_->server_version_num();
}
int Connection::backend_pid() const {
  return PQbackendPID(session_->handle());
}
std::string Connection::last_sqlstate() const {
  return session_->last_sqlstate();
}
std::string Connection::describe() const {
  return session_->describe();
}

using EscapeFunction = char* (*)(PGconn*, const char*, std::size_t);

static Result<std::string> escaped(libpq::Session& session, EscapeFunction escape,
                                   std::string_view text) {
  const std::unique_ptr<char, libpq::MemoryFreer> quoted(
      escape(session.handle(), text.data(), text.size()));
  if (quoted == nullptr) return Error::invalid("text cannot be quoted: not valid in its encoding");
  return std::string(quoted.get());
}

Result<std::string> Connection::quote_identifier(std::string_view name) const {
  return escaped(*session_, PQescapeIdentifier, name);
}

Result<std::string> Connection::quote_literal(std::string_view text) const {
  return escaped(*session_, PQescapeLiteral, text);
}

namespace {
struct OptionsFreer {
  void operator()(PQconninfoOption* options) const { PQconninfoFree(options); }
};
using OptionsHandle = std::unique_ptr<PQconninfoOption, OptionsFreer>;

std::string_view option(const PQconninfoOption* options, std::string_view keyword) {
  for (; options != nullptr && options->keyword != nullptr; ++options) {
    if (options->keyword == keyword && options->val != nullptr) return options->val;
  }
  return {};
}
}  // namespace

// An unescaped '@' inside a password moves its rest into the host: postgresql://u:p@ss@host.
static bool is_readable(const PQconninfoOption* options) {
  const auto host = option(options, "host");
  return options != nullptr && (host.empty() || host.substr(1).find('@') == std::string_view::npos);
}

Result<void> check_conninfo(const std::string& conninfo) {
  const OptionsHandle given(PQconninfoParse(conninfo.c_str(), nullptr));
  if (is_readable(given.get())) return {};
  return Error::invalid(
             "the connection string is not valid; it is not shown here, because it may "
             "hold a password")
      .with_hint(
          "write it as \"host=... port=... user=... dbname=...\", or as a postgresql:// "
          "address with special characters percent-encoded");
}

std::string describe_conninfo(const std::string& conninfo) {
  // libpq's own message about a bad string quotes parts of it, perhaps the password: never use it.
  const OptionsHandle given(PQconninfoParse(conninfo.c_str(), nullptr));
  if (!is_readable(given.get())) return "an unreadable connection string";
  const OptionsHandle defaults(PQconndefaults());
  std::string description;
  for (const std::string_view keyword : {"service", "host", "hostaddr", "port", "user", "dbname"}) {
    auto value = option(given.get(), keyword);
    if (value.empty()) value = option(defaults.get(), keyword);
    if (value.empty()) continue;
    if (!description.empty()) description += ' ';
    description += fmt::format("{}={}", keyword, value);
  }
  return description;
}

}  // namespace pitr
