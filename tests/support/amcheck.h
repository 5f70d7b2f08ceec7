// Indexes against tables, over a server's database. pg_amcheck is Debian's, which serves all
// servers from 14 on; before, only indexes can be checked.
#pragma once

#include "support/must.h"
#include "support/server_binaries.h"
#include "support/subprocess.h"
#include "support/test_cluster.h"

namespace pitr::test {

inline constexpr const char* kCheckBtrees =
    "SELECT bt_index_check(c.oid, true) FROM pg_class c JOIN pg_am a ON a.oid = c.relam "
    "WHERE a.amname = 'btree' AND c.relkind = 'i' AND c.relpersistence = 'p'";

inline void check_with_amcheck(TestCluster& cluster, const std::string& database = "postgres") {
  must(cluster.sql("CREATE EXTENSION IF NOT EXISTS amcheck", database));
  if (cluster.major() == 13) {
    must(cluster.sql(kCheckBtrees, database));
    return;
  }
  must(run_successfully({ServerBinaries::client("pg_amcheck"), "--heapallindexed", "-h",
                         cluster.socket_directory(), "-p", std::to_string(cluster.port()), "-U",
                         "postgres", database}));
}

}  // namespace pitr::test
