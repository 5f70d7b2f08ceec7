// pgbench (Debian's client, for all majors) as background load on a TestCluster.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "support/test_cluster.h"

namespace pitr::test {

struct PgBenchOptions {
  std::string database = "postgres";
  int clients = 2;
  int threads = 1;
  Seconds duration{3600};
  int rate_per_second = 0;                  // 0: as fast as it goes
  std::string script = {};                  // SQL of one transaction; empty: TPC-B
  std::vector<std::string> arguments = {};  // more of them, as pgbench takes them
};

// One pgbench process. Killed on destruction. Not thread-safe.
class PgBench {
 public:
  static Result<void> initialize(TestCluster& cluster, int scale = 1,
                                 const std::string& database = "postgres");
  static Result<PgBench> start(TestCluster& cluster, const PgBenchOptions& options = {});

  bool running() { return process_.running(); }
  // Ends it now. Transactions under way are rolled back by the server.
  void stop() { process_.kill(); }
  // Until its duration is over; output as pgbench printed it. Failed clients are kInvalid.
  Result<std::string> finish(Milliseconds timeout = Seconds(600));

 private:
  PgBench(Subprocess process, TemporaryDirectory scripts)
      : process_(std::move(process)), scripts_(std::move(scripts)) {}
  Subprocess process_;
  TemporaryDirectory scripts_;
};

}  // namespace pitr::test
