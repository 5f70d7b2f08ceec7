#include "support/pgbench.h"

#include <fmt/format.h>

namespace pitr::test {

Result<void> PgBench::initialize(TestCluster& cluster, int scale, const std::string& database) {
  TRY(run_successfully({ServerBinaries::client("pgbench").string(), "--initialize", "--quiet",
                        fmt::format("--scale={}", scale), cluster.conninfo(database)},
                       {}, Seconds(600)));
  return {};
}

Result<PgBench> PgBench::start(TestCluster& cluster, const PgBenchOptions& options) {
  TemporaryDirectory scripts = TRY(TemporaryDirectory::create());
  std::vector<std::string> argv = {ServerBinaries::client("pgbench").string(), "--no-vacuum",
                                   fmt::format("--client={}", options.clients),
                                   fmt::format("--jobs={}", options.threads),
                                   fmt::format("--time={}", options.duration.count())};
  if (options.rate_per_second > 0) {
    argv.push_back(fmt::format("--rate={}", options.rate_per_second));
  }
  if (!options.script.empty()) {
    const Path script = scripts / "script.sql";
    TRY(write_file_durably(script, as_bytes(options.script)));
    argv.push_back("--file=" + script.string());
  }
  argv.insert(argv.end(), options.arguments.begin(), options.arguments.end());
  argv.push_back(cluster.conninfo(options.database));
  Subprocess process = TRY(Subprocess::start(argv));
  return PgBench(std::move(process), std::move(scripts));
}

Result<std::string> PgBench::finish(Milliseconds timeout) {
  const ExitStatus status = TRY(process_.wait(timeout));
  if (status.success()) return process_.out();
  return Error::invalid(
      fmt::format("pgbench: exit status {}: {}", status.exit_code, process_.err()));
}

}  // namespace pitr::test
