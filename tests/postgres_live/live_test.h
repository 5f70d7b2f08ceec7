// A server that the tests of one suite share: started before the first, gone after the last.
#pragma once

#include <gtest/gtest.h>

#include <optional>

#include "postgres/replication.h"
#include "support/must.h"
#include "support/test_cluster.h"

namespace pitr::test {

class LiveTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    cluster_.emplace(must(TestCluster::create()));
    must(cluster_->start());
  }
  static void TearDownTestSuite() { cluster_.reset(); }

  static TestCluster& cluster() { return *cluster_; }
  static Connection connect() { return must(Connection::open(cluster().conninfo())); }
  static ReplicationConnection replicate() { return replicate(cluster()); }
  static ReplicationConnection replicate(TestCluster& server) {
    return must(ReplicationConnection::open(server.conninfo()));
  }
  static Lsn lsn(TestCluster& server, const std::string& sql) {
    return must(Lsn::parse(must(server.sql_value(sql))));
  }
  static Lsn flushed(TestCluster& server) {
    return lsn(server, "SELECT pg_current_wal_flush_lsn()");
  }

 private:
  static inline std::optional<TestCluster> cluster_;
};

}  // namespace pitr::test
