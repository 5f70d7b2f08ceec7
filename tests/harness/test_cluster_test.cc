#include "support/test_cluster.h"

#include <gtest/gtest.h>

#include "postgres/server_control.h"
#include "support/must.h"
#include "support/pgbench.h"

namespace pitr::test {
namespace {

std::size_t processes_in(const Path& directory) {
  std::size_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    std::error_code error;
    count += std::filesystem::read_symlink(entry.path() / "cwd", error) == directory ? 1 : 0;
  }
  return count;
}

TEST(TestClusterTest, StartsAnswersAndStopsInEveryMode) {
  auto cluster = must(TestCluster::create());
  for (const StopMode mode : {StopMode::kSmart, StopMode::kFast, StopMode::kImmediate}) {
    must(cluster.start());
    EXPECT_EQ(must(cluster.sql_value("SELECT 1 + 1")), "2");
    EXPECT_TRUE(cluster.running());
    must(cluster.stop(mode));
    EXPECT_FALSE(cluster.running());
    EXPECT_EQ(processes_in(cluster.data_directory()), 0u);
  }
}

TEST(TestClusterTest, RowsComeAsPostgresPrintsThem) {
  auto cluster = must(TestCluster::create());
  must(cluster.start());
  const auto rows =
      must(cluster.sql("CREATE TABLE t (a int, b text);"
                       "INSERT INTO t VALUES (1, E'two\\nlines'), (2, NULL), (3, '');"
                       "SELECT * FROM t ORDER BY a"));
  EXPECT_EQ(rows, (TestCluster::Rows{{"1", "two\nlines"}, {"2", ""}, {"3", ""}}));
  EXPECT_TRUE(must(cluster.sql("SELECT 1 WHERE false")).empty());
  const auto failed = cluster.sql("SELECT 1/0");
  ASSERT_FALSE(failed);
  EXPECT_NE(failed.error().message().find("division by zero"), std::string::npos);
}

TEST(TestClusterTest, TwoClustersAtOnceAreStrangers) {
  auto one = must(TestCluster::create());
  auto two = must(TestCluster::create());
  must(one.start());
  must(two.start());
  EXPECT_NE(one.port(), two.port());
  const std::string query = "SELECT system_identifier FROM pg_control_system()";
  EXPECT_NE(must(one.sql_value(query)), must(two.sql_value(query)));
}

TEST(TestClusterTest, OptionsReachTheServer) {
  auto cluster =
      must(TestCluster::create({.wal_segment_size_mb = 1,
                                .data_checksums = false,
                                .durable = true,
                                .settings = {{"wal_level", "logical"}, {"cluster_name", "it's"}}}));
  must(cluster.start());
  EXPECT_EQ(must(cluster.sql_value("SHOW wal_segment_size")), "1MB");
  EXPECT_EQ(must(cluster.sql_value("SHOW data_checksums")), "off");
  EXPECT_EQ(must(cluster.sql_value("SHOW fsync")), "on");
  EXPECT_EQ(must(cluster.sql_value("SHOW wal_level")), "logical");
  EXPECT_EQ(must(cluster.sql_value("SHOW cluster_name")), "it's");
  must(cluster.configure({{"work_mem", "7MB"}}));
  must(cluster.reload());
  must(cluster.wait_until("SELECT current_setting('work_mem') = '7MB'"));
}

TEST(TestClusterTest, AKilledServerLeavesNothingAndRecovers) {
  auto cluster = must(TestCluster::create());
  must(cluster.start());
  must(cluster.sql("CREATE TABLE t AS SELECT generate_series(1, 1000) AS n"));
  cluster.kill_postmaster();
  EXPECT_EQ(processes_in(cluster.data_directory()), 0u);
  must(cluster.start());
  EXPECT_EQ(must(cluster.sql_value("SELECT count(*) FROM t")), "1000");
}

TEST(TestClusterTest, DestructionEndsTheServerAndRemovesItsFiles) {
  Path directory;
  {
    auto cluster = must(TestCluster::create());
    must(cluster.start());
    directory = cluster.data_directory();
    const auto moved = std::move(cluster);
    EXPECT_GT(processes_in(directory), 0u);
  }
  EXPECT_EQ(processes_in(directory), 0u);
  EXPECT_FALSE(std::filesystem::exists(directory));
}

TEST(TestClusterTest, AServerThatCannotStartSaysWhy) {
  auto cluster = must(TestCluster::create({.settings = {{"no_such_setting", "1"}}}));
  const auto started = cluster.start();
  ASSERT_FALSE(started);
  EXPECT_NE(started.error().message().find("no_such_setting"), std::string::npos);
}

TEST(TestClusterTest, AStandbyFollowsAndIsPromoted) {
  auto primary = must(TestCluster::create());
  must(primary.start());
  auto standby = must(primary.make_standby("follower"));
  must(standby.start());
  must(
      primary.wait_until("SELECT count(*) = 1 FROM pg_stat_replication WHERE application_name = "
                         "'follower' AND state = 'streaming'"));
  must(primary.sql("CREATE TABLE t AS SELECT 42 AS n"));
  must(standby.wait_until("SELECT to_regclass('t') IS NOT NULL"));
  must(standby.promote());
  EXPECT_EQ(must(standby.sql_value("SELECT pg_is_in_recovery()")), "f");
  EXPECT_EQ(must(standby.sql_value("SELECT left(pg_walfile_name(pg_current_wal_lsn()), 8)")),
            "00000002");
}

TEST(TestClusterTest, AnAdoptedDirectoryRunsElsewhereWithItsFilesUntouched) {
  const auto copy = must(TemporaryDirectory::create());
  auto cluster = must(TestCluster::create());
  must(copy_tree(cluster.data_directory(), copy / "data"));
  const auto before = must(read_text_file(copy / "data" / "postgresql.conf"));
  {
    auto adopted = must(TestCluster::adopt(copy / "data"));
    must(cluster.start());
    must(adopted.start());
    EXPECT_NE(must(adopted.sql_value("SHOW port")), must(cluster.sql_value("SHOW port")));
  }
  EXPECT_EQ(must(read_text_file(copy / "data" / "postgresql.conf")), before);
}

TEST(PgBenchTest, LoadRunsInTheBackground) {
  auto cluster = must(TestCluster::create());
  must(cluster.start());
  must(PgBench::initialize(cluster));
  auto load = must(PgBench::start(cluster));
  must(cluster.wait_until("SELECT count(*) > 10 FROM pgbench_history"));
  EXPECT_TRUE(load.running());
  load.stop();
  PgBenchOptions options;
  options.duration = Seconds(1);
  options.script = "SELECT 1;";
  auto short_load = must(PgBench::start(cluster, options));
  EXPECT_NE(must(short_load.finish()).find("tps"), std::string::npos);
}

}  // namespace
}  // namespace pitr::test
