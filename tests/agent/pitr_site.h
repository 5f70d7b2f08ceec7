// A server with pitr beside it: configuration, key, repository and socket in a temporary directory,
// and the programs as an operator runs them. Not thread-safe.
#pragma once

#include <fmt/format.h>

#include <fstream>

#include "config/load.h"
#include "http/client.h"
#include "support/must.h"
#include "support/subprocess.h"
#include "support/test_cluster.h"

namespace pitr::test {

inline void write_text(const Path& path, std::string_view text) {
  std::ofstream(path) << text;
}

// Asks every 20 ms until it is true; false after the timeout.
template <typename Condition>
bool eventually(Condition&& condition, Seconds timeout = Seconds(30)) {
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  while (!condition()) {
    if (std::chrono::steady_clock::now() >= deadline) return false;
    std::this_thread::sleep_for(Milliseconds(20));
  }
  return true;
}

class PitrSite {
 public:
  explicit PitrSite(const TestCluster& cluster)
      : PitrSite(cluster.conninfo(), cluster.data_directory()) {}
  explicit PitrSite(const std::string& conninfo, const std::optional<Path>& data_directory = {},
                    const std::string& schedule = "never")
      : home_(must(TemporaryDirectory::create())) {
    std::string yaml = fmt::format(
        "repository: {{path: {0}/repository}}\n"
        "encryption: {{key_file: {0}/key/pitr.key}}\n"
        "agent: {{socket: {0}/agent.sock, state_directory: {0}/state}}\n"
        "schedule: {2}\n"
        "clusters:\n  main:\n    connection: \"{1}\"\n",
        home_.path().native(), conninfo, schedule);
    if (data_directory) yaml += fmt::format("    data_directory: {}\n", data_directory->native());
    write_text(config_file(), yaml);
  }

  Path config_file() const { return home_ / "pitr.yaml"; }
  Path key_file() const { return home_ / "key/pitr.key"; }
  Path repository() const { return home_ / "repository"; }
  Path socket() const { return home_ / "agent.sock"; }
  const Path& home() const { return home_.path(); }
  Config config() const { return must(load_config(config_file())); }

  static Path program(const std::string& name) { return Path(PITR_PROGRAM_DIRECTORY) / name; }

  CommandOutput run(std::vector<std::string> arguments) const {
    const Path path = program(arguments.front());
    arguments.front() = path.native();
    SubprocessOptions options;
    options.environment = {{"PITR_CONFIG", config_file().native()},
                           {"PITR_SOCKET", socket().native()}};
    return must(run_command(arguments, options));
  }

  Subprocess start_agent() const {
    auto agent = must(
        Subprocess::start({program("pitr-agent").native(), "--config", config_file().native()}));
    // The file is there a moment before somebody listens.
    const auto answers = [&] {
      const auto request = must(http::Request::create("GET", "/v1/status"));
      return http::Client(socket()).send(request).has_value();
    };
    if (!eventually(answers)) {
      throw std::runtime_error("the agent did not start: " + agent.err());
    }
    return agent;
  }

 private:
  TemporaryDirectory home_;
};

inline TestCluster started_cluster(const ClusterOptions& options = {}) {
  auto cluster = must(TestCluster::create(options));
  must(cluster.start());
  return cluster;
}

// Ends the current segment and gives the path of its file.
inline Path switch_segment(TestCluster& cluster) {
  must(cluster.sql("SELECT pg_logical_emit_message(true, 'pitr', 'something to switch from')"));
  const auto name = must(cluster.sql_value("SELECT pg_walfile_name(pg_current_wal_lsn())"));
  must(cluster.sql("SELECT pg_switch_wal()"));
  return cluster.data_directory() / "pg_wal" / name;
}

}  // namespace pitr::test
