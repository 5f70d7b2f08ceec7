#include "support/test_cluster.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <exception>
#include <fstream>
#include <thread>

#include "support/cluster_template.h"
#include "support/server_processes.h"

namespace pitr::test {
namespace {

constexpr auto kPollInterval = Milliseconds(5);
constexpr std::size_t kLongestSocketDirectory = 90;  // sockaddr_un holds 107 with "/.s.PGSQL.29999"

int signal_of(StopMode mode) {
  switch (mode) {
    case StopMode::kSmart:
      return SIGTERM;
    case StopMode::kFast:
      return SIGINT;
    case StopMode::kImmediate:
      return SIGQUIT;
  }
  return SIGINT;
}

std::string setting_value(std::string_view value) {
  std::string result = "'";
  for (const char c : value) result += c == '\'' ? "''" : std::string(1, c);
  return result + "'";
}

Result<void> append_settings(const Path& file, const std::map<std::string, std::string>& settings) {
  std::ofstream stream(file, std::ios::app);
  for (const auto& [name, value] : settings)
    stream << name << " = " << setting_value(value) << "\n";
  if (!stream.flush()) return Error::transient("writing " + file.string());
  return {};
}

// What every test server needs to be small, quick and alone.
std::map<std::string, std::string> own_settings(const ClusterOptions& options) {
  std::map<std::string, std::string> settings = {
      {"shared_buffers", "32MB"},
      {"dynamic_shared_memory_type", "mmap"},  // nothing stays in /dev/shm after SIGKILL
      {"lc_messages", "C"},
      {"log_line_prefix", "%m [%p] %b "},
      {"logging_collector", "off"},
  };
  if (!options.durable) settings["fsync"] = "off";
  return settings;
}

Result<void> refuse_root() {
  if (geteuid() != 0) return {};
  return Error::denied("PostgreSQL refuses to run as root")
      .with_hint("run the tests by make test, or this one by scripts/as_test_user.sh");
}

Result<std::string> version_of(const Path& data_directory) {
  return read_text_file(data_directory / "PG_VERSION");
}

}  // namespace

TestCluster::TestCluster(ServerBinaries binaries, TemporaryDirectory home, Path data_directory,
                         PortLease port)
    : binaries_(std::move(binaries)),
      home_(std::move(home)),
      data_directory_(std::move(data_directory)),
      socket_directory_(home_.path()),
      log_file_(home_ / "log"),
      port_(std::move(port)) {}

Result<TestCluster> TestCluster::prepare(const ServerBinaries& binaries,
                                         const std::optional<Path>& data_directory,
                                         const ClusterOptions& options) {
  TRY(refuse_root());
  TemporaryDirectory home = TRY(TemporaryDirectory::create());
  if (home.path().string().size() > kLongestSocketDirectory) {
    home = TRY(TemporaryDirectory::create_in("/tmp"));
  }
  PortLease port = TRY(PortLease::take());
  Path data = data_directory.value_or(home / "data");
  TestCluster cluster(binaries, std::move(home), std::move(data), std::move(port));
  cluster.command_line_ = own_settings(options);
  cluster.command_line_["listen_addresses"] = "127.0.0.1";
  cluster.command_line_["port"] = std::to_string(cluster.port());
  cluster.command_line_["unix_socket_directories"] = cluster.socket_directory_.string();
  return cluster;
}

Result<TestCluster> TestCluster::create(const ClusterOptions& options) {
  const ServerBinaries binaries = TRY(ServerBinaries::find(options.major));
  TestCluster cluster = TRY(prepare(binaries, {}, options));
  const InitdbOptions initdb{.wal_segment_size_mb = options.wal_segment_size_mb,
                             .data_checksums = options.data_checksums};
  TRY(make_data_directory(binaries, initdb, cluster.data_directory_));
  TRY(cluster.settle(options));
  return cluster;
}

Result<TestCluster> TestCluster::adopt(Path data_directory, const ClusterOptions& options) {
  const std::string version = TRY(version_of(data_directory));
  const ServerBinaries binaries = TRY(ServerBinaries::find(std::atoi(version.c_str())));
  TestCluster cluster = TRY(prepare(binaries, data_directory, options));
  for (const auto& [name, value] : options.settings) cluster.command_line_[name] = value;
  return cluster;
}

// Moves the settings from the command line into the files, so that a server started by something
// else (a restore of this cluster, pg_ctl) comes up in the same place, and SQL can change them.
Result<void> TestCluster::settle(const ClusterOptions& options) {
  for (const auto& [name, value] : options.settings) command_line_[name] = value;
  TRY(append_settings(data_directory_ / "postgresql.conf", command_line_));
  command_line_.clear();
  return {};
}

TestCluster::~TestCluster() {
  if (data_directory_.empty()) return;  // moved from
  if (testing::Test::HasFailure() || std::uncaught_exceptions() > 0) {
    std::fprintf(stderr, "--- end of the log of the server on port %d ---\n%s---\n", port(),
                 log_tail().value_or("").c_str());
  }
  if (running()) {
    request_stop(StopMode::kImmediate);
    if (!wait_for_exit(Seconds(10))) postmaster_->kill();
  }
  end_server_processes(data_directory_);
}

Result<void> TestCluster::launch() {
  if (running()) return Error::invalid("the server runs already");
  std::vector<std::string> argv = {(binaries_.directory / "postgres").string(), "-D",
                                   data_directory_.string()};
  for (const auto& [name, value] : command_line_) {
    argv.push_back("-c");
    argv.push_back(name + "=" + value);
  }
  // Immediate shutdown when the test dies: no process and no shared memory stays.
  postmaster_ = TRY(Subprocess::start(argv, {.environment = {{"LC_ALL", "C"}},
                                             .output_file = log_file_,
                                             .death_signal = SIGQUIT,
                                             .new_session = true}));
  return {};
}

// As pg_ctl does: the postmaster writes its state into the eighth line of postmaster.pid.
bool TestCluster::is_ready() const {
  std::ifstream file(data_directory_ / "postmaster.pid");
  std::string line;
  for (int number = 1; number <= 8 && std::getline(file, line); ++number) {
    if (number == 1 && line != std::to_string(postmaster_->pid())) return false;
    if (number == 8) return line.starts_with("ready") || line.starts_with("standby");
  }
  return false;
}

Result<void> TestCluster::wait_until_ready(Milliseconds timeout) {
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  while (running()) {
    if (is_ready()) return {};
    if (std::chrono::steady_clock::now() > deadline) {
      return Error::transient(fmt::format("the server is not ready after {} ms; log:\n{}",
                                          timeout.count(), log_tail().value_or("")));
    }
    std::this_thread::sleep_for(kPollInterval);
  }
  return Error::invalid("the server ended before it was ready; log:\n" + log_tail().value_or(""));
}

Result<void> TestCluster::start(Milliseconds timeout) {
  TRY(launch());
  return wait_until_ready(timeout);
}

bool TestCluster::running() {
  return postmaster_ && postmaster_->running();
}

void TestCluster::request_stop(StopMode mode) {
  if (postmaster_) postmaster_->signal(signal_of(mode));
}

Result<ExitStatus> TestCluster::wait_for_exit(Milliseconds timeout) {
  if (!postmaster_) return Error::invalid("the server was never started");
  return postmaster_->wait(timeout);
}

Result<void> TestCluster::stop(StopMode mode, Milliseconds timeout) {
  request_stop(mode);
  TRY(wait_for_exit(timeout));
  return {};
}

Result<void> TestCluster::restart(StopMode mode) {
  TRY(stop(mode));
  return start();
}

void TestCluster::kill_postmaster() {
  if (postmaster_) postmaster_->kill();
  end_server_processes(data_directory_);
}

Result<void> TestCluster::promote(Milliseconds timeout) {
  const auto seconds = std::chrono::ceil<Seconds>(timeout).count();
  const std::string done = TRY(sql_value(fmt::format("SELECT pg_promote(true, {})", seconds)));
  if (done == "t") return {};
  return Error::transient(fmt::format("not promoted after {} s", seconds));
}

Result<void> TestCluster::reload() {
  const std::string done = TRY(sql_value("SELECT pg_reload_conf()"));
  if (done == "t") return {};
  return Error::invalid("the server did not reload its configuration");
}

Result<TestCluster> TestCluster::clone(const ClusterOptions& options) {
  TestCluster copy = TRY(prepare(binaries_, {}, options));
  const bool was_running = running();
  if (was_running) TRY(stop());
  TRY(copy_tree(data_directory_, copy.data_directory_));
  if (was_running) TRY(start());
  std::error_code ignored;
  std::filesystem::remove(copy.data_directory_ / "postmaster.pid", ignored);
  TRY(copy.settle(options));
  return copy;
}

Result<TestCluster> TestCluster::make_standby(const std::string& application_name,
                                              const ClusterOptions& options) {
  TestCluster standby = TRY(clone(options));
  TRY(standby.configure(
      {{"primary_conninfo", conninfo() + " application_name=" + application_name}}));
  std::ofstream signal(standby.data_directory_ / "standby.signal");
  if (!signal.flush()) return Error::transient("creating standby.signal");
  return standby;
}

Result<void> TestCluster::configure(const std::map<std::string, std::string>& settings) {
  return append_settings(data_directory_ / "postgresql.auto.conf", settings);
}

}  // namespace pitr::test
