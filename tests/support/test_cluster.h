// A PostgreSQL server of a test's own, in a temporary directory, on a Unix socket and a loopback
// port, with trust authentication for every role and for replication.
//
// The server binaries are those of PITR_PG_BIN, else of Debian's package of the major version that
// PITR_TEST_MAJOR names (15), else those in the checkout's .servers/ (scripts/matrix_servers.sh).
// PostgreSQL refuses to run as root: then create() fails and says what to do.
// The postmaster is a direct child of the test: it and everything it started is gone when the
// object is destroyed or the test process dies. Not thread-safe; sql() may be used from several
// threads at once.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "postgres/server_control.h"
#include "support/port_lease.h"
#include "support/server_binaries.h"
#include "support/subprocess.h"
#include "support/temporary_directory.h"

namespace pitr::test {

struct ClusterOptions {
  std::optional<int> major = {};  // default: PITR_TEST_MAJOR, else 15
  int wal_segment_size_mb = 16;
  bool data_checksums = true;
  bool durable = false;  // true leaves fsync on
  // Added to postgresql.conf: {"wal_level", "logical"}. Values are quoted where needed.
  std::map<std::string, std::string> settings = {};
};

class TestCluster {
 public:
  // initdb (or a copy of an earlier one's result, with a system identifier of its own). Not
  // started.
  static Result<TestCluster> create(const ClusterOptions& options = {});
  // A server over a data directory that something else made, a restored one for example; major from
  // its PG_VERSION. Port and socket are given on the command line, files stay as they are.
  // The directory is not removed.
  static Result<TestCluster> adopt(Path data_directory, const ClusterOptions& options = {});

  TestCluster(TestCluster&&) noexcept = default;
  TestCluster& operator=(TestCluster&&) = delete;
  ~TestCluster();

  // Starts the postmaster and waits until it accepts connections (hot standby: read-only ones).
  // A server that gives up is kInvalid with the end of its log.
  Result<void> start(Milliseconds timeout = Seconds(60));
  // Starts the postmaster only: for recoveries that end in a shutdown, or that never become ready.
  Result<void> launch();
  Result<void> wait_until_ready(Milliseconds timeout = Seconds(60));
  Result<void> stop(StopMode mode = StopMode::kFast, Milliseconds timeout = Seconds(60));
  // Sends stop's signal and returns.
  void request_stop(StopMode mode = StopMode::kFast);
  // kTransient when it still runs after the timeout.
  Result<ExitStatus> wait_for_exit(Milliseconds timeout = Seconds(60));
  Result<void> restart(StopMode mode = StopMode::kFast);
  // SIGKILL to the postmaster, then to every process it leaves: a crash of the server. Files stay
  // as the operating system has them.
  void kill_postmaster();
  bool running();
  // Until pg_is_in_recovery() is false.
  Result<void> promote(Milliseconds timeout = Seconds(60));
  Result<void> reload();

  // A server over a copy of this data directory, in a directory of its own, not started. A running
  // server is stopped for the copy and started again. clone(): same system identifier and timeline,
  // to diverge. make_standby(): standby.signal and primary_conninfo (application_name given).
  Result<TestCluster> clone(const ClusterOptions& options = {});
  Result<TestCluster> make_standby(const std::string& application_name = "standby",
                                   const ClusterOptions& options = {});

  // Appends to postgresql.auto.conf: the last one of a name wins. restart() or reload() applies it.
  Result<void> configure(const std::map<std::string, std::string>& settings);

  using Rows = std::vector<std::vector<std::string>>;
  // The rows of all statements together, as psql gives them; NULL is "". Each statement commits by
  // itself; the first that fails ends it.
  Result<Rows> sql(const std::string& statements, const std::string& database = "postgres");
  // The only column of the only row.
  Result<std::string> sql_value(const std::string& statement,
                                const std::string& database = "postgres");
  // Asks until the answer is true; kTransient when it is not in time.
  Result<void> wait_until(const std::string& boolean_sql, Milliseconds timeout = Seconds(30));

  const Path& data_directory() const { return data_directory_; }
  const Path& binary_directory() const { return binaries_.directory; }
  const Path& socket_directory() const { return socket_directory_; }
  int major() const { return binaries_.major; }
  int port() const { return port_.port(); }
  Path log_file() const { return log_file_; }
  Result<std::string> log_tail(std::size_t limit_bytes = 4000) const;
  // Over the Unix socket. For replication the libpq connection asks for replication itself
  // (ConnectionOptions), or takes replication_conninfo().
  std::string conninfo(const std::string& database = "postgres",
                       const std::string& user = "postgres") const;
  std::string tcp_conninfo(const std::string& database = "postgres",
                           const std::string& user = "postgres") const;
  std::string replication_conninfo(const std::string& user = "postgres") const;

 private:
  TestCluster(ServerBinaries binaries, TemporaryDirectory home, Path data_directory,
              PortLease port);
  // Everything but the data: home, port, and the settings that launch() gives on the command line.
  static Result<TestCluster> prepare(const ServerBinaries& binaries,
                                     const std::optional<Path>& data_directory,
                                     const ClusterOptions& options);
  Result<void> settle(const ClusterOptions& options);
  bool is_ready() const;

  ServerBinaries binaries_;
  TemporaryDirectory home_;  // data/ (unless adopted), log, socket
  Path data_directory_;
  Path socket_directory_;
  Path log_file_;
  PortLease port_;
  std::map<std::string, std::string> command_line_;
  std::optional<Subprocess> postmaster_;
};

}  // namespace pitr::test
