// pitr-restore as operators run it: from a repository that a real server was streamed into, to a
// real server that is asked what it holds.

#include <fmt/format.h>

#include <fstream>
#include <random>

#include "repository/incarnations.h"
#include "support/pgbench.h"
#include "support/port_lease.h"
#include "support/streamed_repository.h"
#include "support/subprocess.h"

namespace pitr::test {
namespace {

using testing::HasSubstr;

TestCluster start_cluster(const ClusterOptions& options = {}) {
  auto cluster = must(TestCluster::create(options));
  must(cluster.start());
  return cluster;
}

// A server with numbered rows, streamed and backed up once; and restores of it.
class RestoreTest : public testing::Test {
 protected:
  RestoreTest()
      : cluster_(start_cluster({.wal_segment_size_mb = 1})),
        repository_(cluster_),
        home_(must(TemporaryDirectory::create())),
        port_(must(PortLease::take())) {
    must(register_incarnation(repository_.store().repository(), repository_.store().id(),
                              repository_.store().segment_size(), repository_.clock()));
    write_configuration();
    must(cluster_.sql("CREATE TABLE t(i int)"));
    repository_.start_streaming(cluster_);
    repository_.wait_for("streaming", [](const WalReceiverStatus& status) {
      return status.state == WalReceiverState::kStreaming;
    });
  }

  ~RestoreTest() override { stop_restored(); }

  void write_configuration() {
    const Path key = repository_.directory() / "key";
    must(write_file_durably(key, as_bytes(repository_.key().to_text()), 0600));
    std::ofstream(config_file()) << fmt::format(
        "repository:\n  path: {}\nencryption:\n  key_file: {}\n"
        "clusters:\n  main:\n    connection: \"host=/nowhere\"\n",
        (repository_.directory() / "repository").string(), key.string());
  }

  BackupManifest back_up() {
    return must(repository_.take_backup(repository_.backup_request(cluster_)));
  }

  struct Commit {
    int row = 0;
    std::string xid;
    std::string lsn;   // behind the commit record
    std::string time;  // later than it, earlier than the next one
  };
  // Inserts one row in a transaction of its own.
  Commit insert() {
    Commit commit;
    commit.row = next_row_++;
    commit.xid = must(cluster_.sql_value(
        fmt::format("INSERT INTO t VALUES ({}) RETURNING pg_current_xact_id()", commit.row)));
    commit.lsn = must(cluster_.sql_value("SELECT pg_current_wal_insert_lsn()"));
    commit.time = must(cluster_.sql_value("SELECT clock_timestamp()"));
    return commit;
  }

  CommandOutput restore(std::vector<std::string> arguments) {
    std::vector<std::string> argv = {Path(PITR_PROGRAM_DIRECTORY) / "pitr-restore", "--config",
                                     config_file()};
    argv.insert(argv.end(), arguments.begin(), arguments.end());
    return must(run_command(argv, {.environment = {{"TZ", "Europe/Berlin"}}}));
  }
  std::vector<std::string> with_start(std::vector<std::string> arguments) {
    for (const std::string& more :
         {std::string("--target-dir"), target().string(), std::string("--start"),
          std::string("--port"), std::to_string(port_.port()), std::string("--bin-dir"),
          cluster_.binary_directory().string(), std::string("--set"),
          "unix_socket_directories=" + home_.path().string(), std::string("--set"),
          std::string("fsync=off")}) {
      arguments.push_back(more);
    }
    return arguments;
  }
  // Restores, starts, and gives the rows; the server is stopped again.
  std::string rows_after(std::vector<std::string> target_arguments) {
    const auto output = restore(with_start(std::move(target_arguments)));
    EXPECT_EQ(output.status.exit_code, 0) << output.out << output.err << server_log();
    if (output.status.exit_code != 0) return "(failed)";
    output_ = output.out;
    auto rows = ask("SELECT string_agg(i::text, ',' ORDER BY i) FROM t");
    stop_restored();
    must(remove_tree(target()));
    return rows;
  }
  std::string ask(const std::string& query) {
    auto connection = must(Connection::open(fmt::format(
        "host={} port={} user=postgres dbname=postgres", home_.path().string(), port_.port())));
    const auto result = must(connection.query("SELECT (" + query + ")::text AS value"));
    return must(result[0].value("value")).value_or("");
  }
  void stop_restored() {
    if (!std::filesystem::exists(target() / "postmaster.pid")) return;
    auto control = must(ServerControl::open(target(), cluster_.binary_directory()));
    must(control.stop(StopMode::kImmediate));
  }
  std::string server_log() const {
    return read_text_file(target() / "pitr_restore" / "server.log").value_or("(no log)");
  }

  Path config_file() const { return repository_.directory() / "pitr.yaml"; }
  Path target() const { return home_.path() / "restored"; }

  TestCluster cluster_;
  StreamedRepository repository_;
  TemporaryDirectory home_;
  PortLease port_;
  int next_row_ = 1;
  std::string output_;
};

TEST_F(RestoreTest, EveryKindOfTargetGivesExactlyItsRows) {
  insert();
  back_up();
  const auto second = insert();
  must(cluster_.sql("SELECT pg_create_restore_point('before_three')"));
  const auto third = insert();
  const auto fourth = insert();
  repository_.catch_up(cluster_);

  EXPECT_EQ(rows_after({"--timestamp", second.time}), "1,2");
  EXPECT_THAT(output_, HasSubstr("Reached the target: recovery stopping before"));
  EXPECT_THAT(output_, HasSubstr("timeline 2 begins at"));
  EXPECT_EQ(rows_after({"--xid", third.xid}), "1,2,3");
  EXPECT_THAT(output_, HasSubstr("timeline 3 begins at"));
  EXPECT_EQ(rows_after({"--xid", third.xid, "--exclusive"}), "1,2");
  EXPECT_EQ(rows_after({"--name", "before_three"}), "1,2");
  EXPECT_EQ(rows_after({"--lsn", fourth.lsn, "--exclusive"}), "1,2,3,4");
  EXPECT_EQ(rows_after({"--immediate"}), "1");
  EXPECT_EQ(rows_after({"--latest"}), "1,2,3,4");
}

TEST_F(RestoreTest, PausesAndShutsDownAtTheTarget) {
  back_up();
  const auto first = insert();
  insert();
  repository_.catch_up(cluster_);

  const auto paused = restore(with_start({"--xid", first.xid, "--action", "pause"}));
  EXPECT_EQ(paused.status.exit_code, 0) << paused.out << paused.err << server_log();
  EXPECT_THAT(paused.out, HasSubstr("pg_last_wal_replay_lsn() is"));
  EXPECT_EQ(ask("SELECT string_agg(i::text, ',') FROM t"), "1");
  EXPECT_EQ(ask("SELECT pg_is_in_recovery()"), "true");
  ask("SELECT pg_promote()");
  EXPECT_EQ(ask("SELECT substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)"), "00000002");
  stop_restored();

  must(remove_tree(target()));
  const auto down = restore(with_start({"--xid", first.xid, "--action", "shutdown"}));
  EXPECT_EQ(down.status.exit_code, 0) << down.out << down.err << server_log();
  EXPECT_FALSE(std::filesystem::exists(target() / "postmaster.pid"));
  EXPECT_EQ(must(read_control_file(target())).state, ClusterState::kShutDownInRecovery);
}

TEST_F(RestoreTest, PausedBeforeADropTheTableIsLockedUntilThePromotionAsTheOutcomeSays) {
  back_up();
  const auto before = insert();
  must(cluster_.sql("DROP TABLE t"));
  repository_.catch_up(cluster_);
  const auto paused = restore(with_start({"--timestamp", before.time, "--action", "pause"}));
  EXPECT_EQ(paused.status.exit_code, 0) << paused.out << paused.err << server_log();
  EXPECT_THAT(paused.out, HasSubstr("until SELECT pg_promote() opens it"));
  EXPECT_THAT(paused.out, HasSubstr("just before a DROP TABLE that is the table"));

  auto connection = must(Connection::open(
      fmt::format("host={} port={} user=postgres dbname=postgres options='-c lock_timeout=500'",
                  home_.path().string(), port_.port())));
  const auto read = connection.query("SELECT count(*) FROM t");
  ASSERT_FALSE(read.has_value());
  EXPECT_THAT(read.error().message(), HasSubstr("lock timeout"));
  ask("SELECT pg_promote()");
  EXPECT_EQ(ask("SELECT count(*) FROM t"), "1");
}

TEST_F(RestoreTest, AServerStartedByHandFetchesItsWalWithoutAPrefetcher) {
  back_up();
  insert();
  repository_.catch_up(cluster_);
  const auto output = restore({"--latest", "--target-dir", target()});
  ASSERT_EQ(output.status.exit_code, 0) << output.out << output.err;

  auto restored = must(TestCluster::adopt(target()));
  must(restored.start());
  must(restored.wait_until("SELECT NOT pg_is_in_recovery()"));
  EXPECT_EQ(must(restored.sql_value("SELECT string_agg(i::text, ',') FROM t")), "1");
  EXPECT_EQ(must(restored.sql_value("SELECT timeline_id FROM pg_control_checkpoint()")), "2");
}

// As Debian has it: below /etc. The running server needs its files no more.
TEST_F(RestoreTest, AClusterWhoseConfigurationLiesElsewhereIsRestoredAndStarted) {
  must(cluster_.configure({{"max_connections", "150"}}));
  must(cluster_.restart());
  for (const auto* name : {"postgresql.conf", "pg_hba.conf", "pg_ident.conf"}) {
    std::filesystem::rename(cluster_.data_directory() / name, home_.path() / name);
  }
  back_up();
  insert();
  repository_.catch_up(cluster_);
  std::ofstream(home_.path() / "hba")
      << "local all all trust\n";  // not every test user is postgres
  const auto hba = "hba_file=" + (home_.path() / "hba").string();

  const auto output = restore(with_start({"--latest", "--set", hba}));
  ASSERT_EQ(output.status.exit_code, 0) << output.out << output.err << server_log();
  EXPECT_THAT(output.out, HasSubstr("The backup holds no postgresql.conf"));
  EXPECT_EQ(ask("SELECT string_agg(i::text, ',') FROM t"), "1");
  EXPECT_EQ(ask("current_setting('max_connections')"), "150");
  EXPECT_FALSE(std::filesystem::exists(target() / "postgresql.conf"));
  stop_restored();

  // By hand, with the original's files.
  const auto again = restore({"--latest", "--force", "--yes", "--target-dir", target()});
  ASSERT_EQ(again.status.exit_code, 0) << again.err;
  must(run_successfully({cluster_.binary_directory() / "pg_ctl", "start", "-w", "-D", target(),
                         "-l", home_.path() / "log", "-o",
                         fmt::format("-c config_file={0}/postgresql.conf -c {1} -c "
                                     "ident_file={0}/pg_ident.conf -c port={2} -c "
                                     "unix_socket_directories={0}",
                                     home_.path().string(), hba, port_.port())}));
  EXPECT_EQ(ask("SELECT string_agg(i::text, ',') FROM t"), "1");
}

TEST_F(RestoreTest, WalThatIsDamagedInsideThePlanFailsTheRestore) {
  back_up();
  insert();
  const auto damaged = repository_.store().segment_size().number_of(
      must(Lsn::parse(must(cluster_.sql_value("SELECT pg_current_wal_lsn()")))));
  for (int i = 0; i < 3; ++i) {
    insert();
    must(cluster_.sql("SELECT pg_switch_wal()"));
  }
  insert();
  repository_.catch_up(cluster_);
  repository_.wait_for("the segment to be sealed", [&](const WalReceiverStatus&) {
    return must(repository_.archive().has_segment({TimelineId(1), damaged + 1}));
  });
  const auto key = repository_.store().names().segment({TimelineId(1), damaged + 1});
  auto bytes = must(repository_.storage().get(key, 1 << 20));
  bytes[bytes.size() / 2] ^= 1;
  must(repository_.storage().remove(key));
  must(repository_.storage().put(key, bytes));

  const auto output = restore(with_start({"--latest"}));
  EXPECT_EQ(output.status.exit_code, 9) << output.out << output.err;
  EXPECT_THAT(output.out, HasSubstr("FAILED to reach the target"));
  EXPECT_TRUE(std::filesystem::exists(target() / "recovery.signal"));
}

TEST_F(RestoreTest, ReplacesOnlyWhatItMayReplace) {
  back_up();
  insert();
  repository_.catch_up(cluster_);
  const std::vector<std::string> arguments = {"--latest", "--target-dir", target()};
  ASSERT_EQ(restore(arguments).status.exit_code, 0);

  auto again = restore(arguments);
  EXPECT_EQ(again.status.exit_code, 4);
  EXPECT_THAT(again.err, HasSubstr("holds a PostgreSQL 15 data directory"));

  // Killed in the middle: nothing can start, and --force goes on.
  std::filesystem::remove(target() / "global" / "pg_control");
  std::ofstream(target() / "pitr_restore" / "restoring") << "x";
  again = restore(arguments);
  EXPECT_EQ(again.status.exit_code, 4);
  EXPECT_THAT(again.err, HasSubstr("a restore that was interrupted"));
  auto forced = arguments;
  forced.insert(forced.end(), {"--force", "--yes"});
  again = restore(forced);
  EXPECT_EQ(again.status.exit_code, 0) << again.err;
  EXPECT_FALSE(std::filesystem::exists(target() / "pitr_restore" / "restoring"));

  // A running server is never replaced.
  again = restore({"--latest", "--target-dir", cluster_.data_directory(), "--force", "--yes"});
  EXPECT_EQ(again.status.exit_code, 4);
  EXPECT_THAT(again.err, HasSubstr("a server (process "));
  again = restore({"--latest", "--target-dir", target(), "--force"});
  EXPECT_EQ(again.status.exit_code, 2) << again.err;
  EXPECT_THAT(again.err, HasSubstr("say --yes"));
}

TEST_F(RestoreTest, KilledAnywhereNothingCanStartAndItCanBeRunAgain) {
  back_up();
  insert();
  repository_.catch_up(cluster_);
  const auto seed = std::random_device{}();
  SCOPED_TRACE(fmt::format("seed {}", seed));
  std::mt19937 random(seed);
  const std::vector<std::string> argv = {Path(PITR_PROGRAM_DIRECTORY) / "pitr-restore",
                                         "--config",
                                         config_file(),
                                         "--latest",
                                         "--target-dir",
                                         target(),
                                         "--force",
                                         "--yes"};
  int interrupted = 0;
  for (int round = 0; round < 20; ++round) {
    auto process = must(Subprocess::start(argv));
    (void)process.wait(Milliseconds(std::uniform_int_distribution<int>(5, 300)(random)));
    process.kill();
    if (!std::filesystem::exists(target())) continue;
    const bool can_start = std::filesystem::exists(target() / "global" / "pg_control");
    if (can_start) {
      EXPECT_TRUE(std::filesystem::exists(target() / "recovery.signal"));
      EXPECT_TRUE(std::filesystem::exists(target() / "backup_label"));
    } else {
      ++interrupted;
      // Either the marker says so, or next to nothing was done yet: the old pg_control is gone, or
      // the directory was made.
      EXPECT_TRUE(std::filesystem::exists(target() / "pitr_restore" / "restoring") ||
                  std::filesystem::exists(target() / "PG_VERSION") ||
                  !std::filesystem::exists(target() / "base"));
    }
  }
  RecordProperty("interrupted", interrupted);
  const auto output = restore(with_start({"--latest", "--force", "--yes"}));
  EXPECT_EQ(output.status.exit_code, 0) << output.out << output.err << server_log();
  EXPECT_EQ(ask("SELECT string_agg(i::text, ',') FROM t"), "1");
}

TEST_F(RestoreTest, TablespacesGoWhereTheMapSays) {
  const auto original = home_.path() / "original";
  const auto moved = home_.path() / "moved";
  std::filesystem::create_directory(original);
  must(cluster_.sql(fmt::format("CREATE TABLESPACE space LOCATION '{}'", original.string())));
  must(
      cluster_.sql("CREATE TABLE in_space(i int) TABLESPACE space; INSERT INTO in_space "
                   "SELECT generate_series(1, 1000)"));
  back_up();
  insert();
  repository_.catch_up(cluster_);

  const auto refused = restore({"--latest", "--target-dir", target()});
  EXPECT_EQ(refused.status.exit_code, 4);
  EXPECT_THAT(refused.err, HasSubstr("is in use, and not by the cluster that is being replaced"));

  const auto output = restore(with_start(
      {"--latest", "--tablespace-map", fmt::format("{}={}", original.string(), moved.string())}));
  ASSERT_EQ(output.status.exit_code, 0) << output.out << output.err << server_log();
  EXPECT_EQ(ask("SELECT count(*) FROM in_space"), "1000");
  EXPECT_EQ(ask("SELECT pg_tablespace_location(oid) FROM pg_tablespace WHERE spcname = 'space'"),
            moved.string());
  must(cluster_.sql("INSERT INTO in_space VALUES (1)"));  // the original is untouched
  EXPECT_EQ(must(cluster_.sql_value("SELECT count(*) FROM in_space")), "1001");
}

TEST_F(RestoreTest, RefusesWhatItCannotReach) {
  const auto before = must(cluster_.sql_value("SELECT clock_timestamp()"));
  back_up();
  insert();
  repository_.catch_up(cluster_);
  const auto refused = [&](const std::vector<std::string>& arguments, int code,
                           const std::string& text) {
    auto with_place = arguments;
    with_place.insert(with_place.end(), {"--target-dir", target()});
    const auto output = restore(with_place);
    EXPECT_EQ(output.status.exit_code, code) << output.out << output.err;
    EXPECT_THAT(output.err, HasSubstr(text));
    EXPECT_FALSE(std::filesystem::exists(target()));
  };
  refused({"--timestamp", before}, 2, "the earliest time that can be reached");
  refused({"--timestamp", "2099-01-01"}, 2, "lies behind everything that is known");
  refused({"--lsn", "FF/0"}, 2, "is not in the repository");
  refused({"--xid", "4000000000"}, 3, "no transaction 4000000000");
  refused({"--name", "nowhere"}, 3, "no restore point \"nowhere\"");
  refused({"--latest", "--timeline", "7"}, 3, "timeline 7 is not in the repository");
  refused({"--latest", "--backup", "20200101T000000Z-0123456789abcdef"}, 3, "has no backup 2020");
  refused({"--latest", "--immediate"}, 2, "more than one target");
}

}  // namespace
}  // namespace pitr::test
