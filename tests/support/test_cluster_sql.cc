// TestCluster: SQL, connection strings and the log.
#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <thread>

#include "support/test_cluster.h"

namespace pitr::test {
namespace {

constexpr char kFieldSeparator = '\x1f';
constexpr auto kPollInterval = Milliseconds(20);

std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> parts;
  for (std::size_t end = 0; end != std::string_view::npos;) {
    end = text.find(separator);
    parts.emplace_back(text.substr(0, end));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  return parts;
}

}  // namespace

// psql, not this project's own connection: a bug there must not hide behind itself.
Result<TestCluster::Rows> TestCluster::sql(const std::string& statements,
                                           const std::string& database) {
  SubprocessOptions options;
  options.input = statements;
  const std::string output =
      TRY(run_successfully({ServerBinaries::client("psql").string(), "--no-psqlrc", "--quiet",
                            "--no-align", "--tuples-only", "--set=ON_ERROR_STOP=1",
                            std::string("--field-separator=") + kFieldSeparator,
                            "--record-separator-zero", "--file=-", conninfo(database)},
                           options));
  Rows rows;
  std::string_view rest = output;  // every record ends with a zero byte
  while (!rest.empty()) {
    const auto end = rest.find('\0');
    rows.push_back(split(rest.substr(0, end), kFieldSeparator));
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
  }
  return rows;
}

Result<std::string> TestCluster::sql_value(const std::string& statement,
                                           const std::string& database) {
  const Rows rows = TRY(sql(statement, database));
  if (rows.size() == 1 && rows[0].size() == 1) return rows[0][0];
  return Error::invalid(fmt::format("{} rows instead of one value: {}", rows.size(), statement));
}

Result<void> TestCluster::wait_until(const std::string& boolean_sql, Milliseconds timeout) {
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  while (true) {
    const std::string value = TRY(sql_value(boolean_sql));
    if (value == "t") return {};
    if (std::chrono::steady_clock::now() > deadline) {
      return Error::transient(
          fmt::format("still '{}' after {} ms: {}", value, timeout.count(), boolean_sql));
    }
    std::this_thread::sleep_for(kPollInterval);
  }
}

Result<std::string> TestCluster::log_tail(std::size_t limit_bytes) const {
  const File file = TRY(File::open(log_file_, O_RDONLY));
  const std::uint64_t size = TRY(file.size());
  const std::uint64_t from = size - std::min<std::uint64_t>(size, limit_bytes);
  std::string text(size - from, '\0');
  const std::size_t count = TRY(file.read_at(
      MutableByteView(reinterpret_cast<std::uint8_t*>(text.data()), text.size()), from));
  text.resize(count);
  return text;
}

std::string TestCluster::conninfo(const std::string& database, const std::string& user) const {
  return fmt::format("host={} port={} user={} dbname={}", socket_directory_.string(), port(), user,
                     database);
}

std::string TestCluster::tcp_conninfo(const std::string& database, const std::string& user) const {
  return fmt::format("host=127.0.0.1 port={} user={} dbname={}", port(), user, database);
}

std::string TestCluster::replication_conninfo(const std::string& user) const {
  return conninfo("postgres", user) + " replication=true";
}

}  // namespace pitr::test
