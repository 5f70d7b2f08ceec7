// pg_amcheck over a server's database, heap against indexes included.
#pragma once

#include "support/must.h"
#include "support/subprocess.h"
#include "support/test_cluster.h"

namespace pitr::test {

inline void check_with_amcheck(TestCluster& cluster, const std::string& database = "postgres") {
  must(cluster.sql("CREATE EXTENSION IF NOT EXISTS amcheck", database));
  must(run_successfully({cluster.binary_directory() / "pg_amcheck", "--heapallindexed", "-h",
                         cluster.socket_directory(), "-p", std::to_string(cluster.port()), "-U",
                         "postgres", database}));
}

}  // namespace pitr::test
