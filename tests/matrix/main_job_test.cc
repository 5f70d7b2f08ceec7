// The main job on the major version that PITR_TEST_MAJOR names: WAL is streamed, the database is
// backed up both ways under load, a table is dropped, and a restore to just before brings it back.

#include <fmt/format.h>

#include "support/pgbench.h"
#include "support/restore_program.h"

namespace pitr::test {
namespace {

constexpr const char* kTables[] = {"pgbench_accounts", "pgbench_branches", "pgbench_tellers",
                                   "pgbench_history", "kept"};

std::string checksum_query(const std::string& table) {
  return fmt::format("SELECT count(*) || ' ' || coalesce(sum(hashtext(t::text)), 0) FROM {} t",
                     table);
}

class MainJobTest : public testing::Test {
 protected:
  MainJobTest() : cluster_(must(TestCluster::create())), repository_(started(cluster_)) {
    register_cluster(repository_);
    must(PgBench::initialize(cluster_, 1));
    must(
        cluster_.sql("CREATE TABLE kept(i int PRIMARY KEY, t text); "
                     "INSERT INTO kept SELECT i, md5(i::text) FROM generate_series(1, 20000) i"));
    repository_.start_streaming(cluster_);
  }
  static const TestCluster& started(TestCluster& cluster) {
    must(cluster.start());
    return cluster;
  }

  BackupManifest back_up_under_load(bool local) {
    auto load = must(PgBench::start(cluster_, {.clients = 2}));
    must(cluster_.wait_until("SELECT count(*) > 0 FROM pgbench_history"));
    auto request = repository_.backup_request(cluster_);
    if (!local) request.data_directory.reset();
    auto manifest = must(repository_.take_backup(request));
    const auto rows = must(cluster_.sql_value("SELECT count(*) FROM pgbench_history"));
    must(cluster_.wait_until("SELECT count(*) > 50 + " + rows + " FROM pgbench_history"));
    load.stop();
    must(
        cluster_.wait_until("SELECT count(*) = 0 FROM pg_stat_activity "
                            "WHERE application_name = 'pgbench'"));
    return manifest;
  }

  TestCluster cluster_;
  StreamedRepository repository_;
};

TEST_F(MainJobTest, ADroppedTableComesBackFromALocalAndFromARemoteBackup) {
  if (const char* asked = std::getenv("PITR_TEST_MAJOR")) {
    ASSERT_EQ(std::to_string(cluster_.major()), asked);
  }
  const auto local = back_up_under_load(true);
  const auto remote = back_up_under_load(false);
  std::map<std::string, std::string> before;
  for (const auto* table : kTables) {
    before[table] = must(cluster_.sql_value(checksum_query(table)));
  }
  const auto good_time = must(cluster_.sql_value("SELECT clock_timestamp()"));
  must(cluster_.sql("DROP TABLE kept; DELETE FROM pgbench_accounts WHERE aid % 2 = 0"));
  must(cluster_.sql("SELECT pg_switch_wal(); INSERT INTO pgbench_history VALUES (1)"));
  repository_.catch_up(cluster_);
  repository_.stop_streaming();

  const RestoreProgram program(repository_.directory() / "repository", repository_.key());
  for (const auto* backup : {&local, &remote}) {
    SCOPED_TRACE(backup == &local ? "local backup" : "remote backup");
    RestoredServer restored(cluster_);
    const auto& output =
        restored.restore(program, {"--timestamp", good_time, "--backup", backup->id.text()});
    ASSERT_EQ(output.status.exit_code, 0) << restored.story();
    EXPECT_TRUE(restored.outcome()["server"]["reached"].get<bool>());
    for (const auto* table : kTables) {
      EXPECT_EQ(restored.ask(checksum_query(table)), before[table]) << table;
    }
    if (restored.ask("SELECT count(*) FROM pg_available_extensions WHERE name = 'amcheck'") ==
        "1") {
      restored.check_with_amcheck();
    }
  }
}

}  // namespace
}  // namespace pitr::test
