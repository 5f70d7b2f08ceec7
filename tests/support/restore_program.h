// Runs pitr-restore as an operator does, on a StreamedRepository or a copy of its directory: with a
// configuration and a key file of its own. And the servers that it starts.
//
// Header only, so that it belongs to the tests that link the layers it needs. Not thread-safe.
#pragma once

#include <fmt/format.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "postgres/connection.h"
#include "postgres/server_control.h"
#include "repository/incarnations.h"
#include "support/amcheck.h"
#include "support/port_lease.h"
#include "support/server_binaries.h"
#include "support/streamed_repository.h"
#include "support/subprocess.h"

namespace pitr::test {

// From here on the programs find the repository's cluster by its name.
inline void register_cluster(StreamedRepository& repository) {
  must(register_incarnation(repository.store().repository(), repository.store().id(),
                            repository.store().segment_size(), repository.clock()));
}

class RestoreProgram {
 public:
  RestoreProgram(Path repository, const KeyEncryptionKey& key)
      : home_(must(TemporaryDirectory::create())), repository_(std::move(repository)) {
    must(create_key_file(key_file(), key));
    must(write_file_durably(
        configuration(),
        as_bytes(fmt::format("repository:\n  path: {}\nencryption:\n  key_file: {}\n"
                             "clusters:\n  main:\n    connection: \"host=/nowhere\"\n",
                             repository_.string(), key_file().string()))));
  }

  CommandOutput run(const std::vector<std::string>& arguments) const {
    std::vector<std::string> argv = {Path(PITR_PROGRAM_DIRECTORY) / "pitr-restore", "--config",
                                     configuration()};
    argv.insert(argv.end(), arguments.begin(), arguments.end());
    return must(run_command(argv, {.environment = {{"TZ", "UTC"}}}, Seconds(180)));
  }

  Path configuration() const { return home_ / "pitr.yaml"; }
  Path key_file() const { return home_ / "key"; }
  const Path& repository() const { return repository_; }

 private:
  TemporaryDirectory home_;
  Path repository_;
};

// A directory to restore into, and the server that "pitr-restore --start" leaves on it; stopped and
// removed at the end.
class RestoredServer {
 public:
  explicit RestoredServer(const TestCluster& original)
      : home_(must(TemporaryDirectory::create())),
        port_(must(PortLease::take())),
        binary_directory_(original.binary_directory()) {}
  ~RestoredServer() { stop(); }
  RestoredServer(const RestoredServer&) = delete;
  RestoredServer& operator=(const RestoredServer&) = delete;

  // Restores and starts. What it prints is kept.
  const CommandOutput& restore(const RestoreProgram& program,
                               std::vector<std::string> target_arguments) {
    for (const auto& argument :
         {std::string("--target-dir"), directory().string(), std::string("--start"),
          std::string("--json"), std::string("--port"), std::to_string(port_.port()),
          std::string("--bin-dir"), binary_directory_.string(), std::string("--set"),
          "unix_socket_directories=" + home_.path().string(), std::string("--set"),
          std::string("listen_addresses="), std::string("--set"), std::string("fsync=off")}) {
      target_arguments.push_back(argument);
    }
    output_ = program.run(target_arguments);
    return output_;
  }
  // The outcome as JSON: its "plan", "server", "new_timeline".
  nlohmann::json outcome() const { return nlohmann::json::parse(output_.out); }

  std::string ask(const std::string& expression, const std::string& rest = "") {
    auto connection = must(Connection::open(conninfo()));
    const auto result =
        must(connection.query(fmt::format("SELECT ({})::text AS value {}", expression, rest)));
    return must(must(result.only_row()).value("value")).value_or("");
  }
  std::vector<std::string> column(const std::string& query) {
    auto connection = must(Connection::open(conninfo()));
    const auto result = must(connection.query("SELECT value::text FROM (" + query + ") q(value)"));
    std::vector<std::string> values;
    for (std::size_t i = 0; i < result.size(); ++i) {
      values.push_back(must(result[i].value("value")).value_or(""));
    }
    return values;
  }
  void command(const std::string& sql) { must(must(Connection::open(conninfo())).command(sql)); }
  void check_with_amcheck() {
    command("CREATE EXTENSION IF NOT EXISTS amcheck");
    if (ask("current_setting('server_version_num')::int / 10000") == "13") {
      // pg_amcheck wants the check of heaps that came with 14.
      command(kCheckBtrees);
      return;
    }
    must(run_successfully({ServerBinaries::client("pg_amcheck"), "--heapallindexed", "-h",
                           home_.path(), "-p", std::to_string(port_.port()), "-U", "postgres",
                           "postgres"}));
  }
  void stop() {
    if (!std::filesystem::exists(directory() / "postmaster.pid")) return;
    auto control = ServerControl::open(directory(), binary_directory_);
    if (control.has_value()) (void)control->stop(StopMode::kImmediate).has_value();
  }

  Path directory() const { return home_ / "restored"; }
  std::string server_log() const {
    return read_text_file(directory() / "pitr_restore" / "server.log").value_or("(no log)");
  }
  // All that is known of what happened, for messages.
  std::string story() const {
    return fmt::format("exit code {}\n{}\n{}\nserver log:\n{}", output_.status.exit_code,
                       output_.out, output_.err, server_log());
  }

 private:
  std::string conninfo() const {
    return fmt::format("host={} port={} user=postgres dbname=postgres", home_.path().string(),
                       port_.port());
  }

  TemporaryDirectory home_;
  PortLease port_;
  Path binary_directory_;
  CommandOutput output_;
};

}  // namespace pitr::test
