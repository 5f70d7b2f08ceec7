// pitr-agent under load, killed with SIGKILL at random moments and started again at once.
//
// Somebody watches all the while what the server was told: pg_stat_replication.flush_lsn and the
// slot's restart_lsn. After each kill the repository, opened by the test, must hold all of that,
// without a hole. In the end everything is there, and a restore has the rows that the server has.
//
// Header only, so that it belongs to the tests that link the layers it needs. PITR_KILLS says how
// many kills instead of the caller, PITR_KILLS_SEED repeats the moments of a run.
#pragma once

#include <fmt/format.h>

#include <atomic>
#include <cstdlib>
#include <fstream>
#include <random>

#include "repository/incarnations.h"
#include "support/pgbench.h"
#include "support/streamed_repository.h"

namespace pitr::test {

// Remembers the highest position that the server ever took for acknowledged.
class AcknowledgementObserver {
 public:
  explicit AcknowledgementObserver(const std::string& conninfo)
      : connection_(must(Connection::open(conninfo))),
        thread_([this](std::stop_token stop) { watch(stop); }) {}

  Lsn highest() const { return Lsn(highest_.load()); }
  std::uint64_t looks() const { return looks_; }
  bool has_failed() const { return failed_; }
  // What the server has heard by now is in highest() afterwards.
  void look_again() {
    const auto before = looks_.load();
    while (looks_ < before + 2 && !failed_) std::this_thread::sleep_for(Milliseconds(1));
  }

 private:
  void watch(std::stop_token stop) {
    while (!stop.stop_requested()) {
      auto rows = connection_.query(
          "SELECT (greatest((SELECT max(flush_lsn) FROM pg_stat_replication),"
          " (SELECT max(restart_lsn) FROM pg_replication_slots)) - '0/0'::pg_lsn)::text AS lsn");
      auto row = rows ? rows->only_row() : Result<QueryResult::Row>(rows.error());
      auto lsn = row ? row->value("lsn") : Result<std::optional<std::string>>(row.error());
      if (!lsn) {
        failed_ = true;
        return;
      }
      if (*lsn) highest_ = std::max<std::uint64_t>(highest_, std::stoull(**lsn));
      ++looks_;
      std::this_thread::sleep_for(Milliseconds(2));
    }
  }

  Connection connection_;
  std::atomic<std::uint64_t> highest_ = 0;
  std::atomic<std::uint64_t> looks_ = 0;
  std::atomic<bool> failed_ = false;
  std::jthread thread_;  // last: it uses all of the above
};

class AgentKills {
 public:
  AgentKills()
      : cluster_(must(TestCluster::create({.wal_segment_size_mb = 1}))),
        started_((must(cluster_.start()), true)),
        repository_(cluster_),
        home_(must(TemporaryDirectory::create())),
        port_(must(PortLease::take())) {
    std::ofstream(config_file()) << fmt::format(
        "repository:\n  path: {0}/repository\nencryption:\n  key_file: {0}/key\n"
        "agent:\n  socket: {1}/agent.sock\n  state_directory: {1}/state\n"
        "schedule: never\n"
        "clusters:\n  main:\n    connection: \"{2}\"\n",
        repository_.directory().native(), home_.path().native(), cluster_.conninfo());
    must(write_file_durably(repository_.directory() / "key", as_bytes(repository_.key().to_text()),
                            0600));
    const char* seed = std::getenv("PITR_KILLS_SEED");
    seed_ = seed != nullptr ? std::strtoull(seed, nullptr, 10) : std::random_device()();
  }

  void run(int kills) {
    if (const char* given = std::getenv("PITR_KILLS")) kills = std::atoi(given);
    SCOPED_TRACE(fmt::format("PITR_KILLS_SEED={}", seed_));
    std::mt19937_64 random(seed_);
    prepare();
    auto load = must(PgBench::start(cluster_, {.clients = 2}));
    AcknowledgementObserver observer(cluster_.conninfo());
    for (int kill = 0; kill < kills; ++kill) {
      SCOPED_TRACE(fmt::format("kill {}", kill));
      std::this_thread::sleep_for(Milliseconds(random() % 700));
      ASSERT_TRUE(agent_->running()) << agent_log();
      agent_->kill();
      // What it sent last is heard yet, and must be here whether or not the next one runs already.
      const bool at_once = random() % 2 == 0;
      if (at_once) start_agent();
      observer.look_again();
      check(observer.highest());
      if (testing::Test::HasFatalFailure()) return;
      if (!at_once) start_agent();
    }
    ASSERT_FALSE(observer.has_failed());
    EXPECT_GT(acknowledged_, first_) << "nothing was acknowledged all the time";
    finish(load);
  }

 private:
  // A base backup to restore from, and commits that wait for the agent.
  void prepare() {
    must(PgBench::initialize(cluster_));
    start_agent();
    must(
        cluster_.wait_until("SELECT count(*) = 1 FROM pg_stat_replication WHERE "
                            "application_name = 'pitr_main' AND flush_lsn IS NOT NULL"));
    must(repository_.take_backup(repository_.backup_request(cluster_)));
    must(cluster_.configure({{"synchronous_standby_names", "pitr_main"}}));
    must(cluster_.reload());
    first_ = acknowledged_ =
        must(Lsn::parse(must(cluster_.sql_value("SELECT flush_lsn FROM pg_stat_replication"))));
    checked_to_ = repository_.archive().segment_size().number_of(first_);
  }

  void start_agent() {
    agent_.reset();
    agent_ = std::make_unique<Subprocess>(must(
        Subprocess::start({Path(PITR_PROGRAM_DIRECTORY) / "pitr-agent", "--config", config_file()},
                          {.output_file = log_file()})));
  }

  // As another process sees the repository, read anew.
  void check(Lsn acknowledged) {
    acknowledged_ = std::max(acknowledged_, acknowledged);
    SystemClock clock;
    const auto storage = must(LocalStorage::open(repository_.directory() / "repository", clock));
    const auto repository = must(Repository::open(*storage, repository_.key()));
    const WalArchive archive(
        {*repository, repository_.store().id(), repository_.store().segment_size()});
    const auto size = archive.segment_size();
    const auto newest = must(archive.newest_segment(TimelineId(1)));
    ASSERT_TRUE(newest.has_value());
    Lsn held;
    for (auto number = checked_to_; number <= newest->number; ++number) {
      const auto stored = must(archive.read_available({TimelineId(1), number})).bytes;
      if (number < newest->number) {
        ASSERT_EQ(stored.size(), size.bytes()) << "a hole in segment " << number;
      }
      held = size.start_of(number) + stored.size();
    }
    ASSERT_GE(held, acknowledged_) << "acknowledged " << to_string(acknowledged_)
                                   << ", but the repository ends at " << to_string(held);
    checked_to_ = newest->number;
  }

  void finish(PgBench& load) {
    must(
        cluster_.wait_until("SELECT count(*) = 1 FROM pg_stat_replication WHERE "
                            "application_name = 'pitr_main' AND state = 'streaming'"));
    load.stop();
    const auto rows = must(cluster_.sql_value("SELECT count(*) FROM pgbench_history"));
    // Every record before this is whole once a commit behind it is durable. The server flushes
    // whole pages too, so the flushed end alone may lie within a record.
    const Lsn whole_until =
        must(Lsn::parse(must(cluster_.sql_value("SELECT pg_current_wal_insert_lsn()"))));
    must(cluster_.sql("CREATE TABLE load_has_ended()"));
    const Lsn end = must(Lsn::parse(must(cluster_.sql_value("SELECT pg_current_wal_flush_lsn()"))));
    must(cluster_.wait_until(fmt::format(
        "SELECT count(*) = 1 FROM pg_stat_replication WHERE flush_lsn >= '{}'", to_string(end))));
    agent_->signal(SIGTERM);
    EXPECT_TRUE(must(agent_->wait()).success()) << agent_log();
    check(end);
    const auto covered =
        must(wal_coverage(repository_.archive(), repository_.facts(),
                          TimelineHistory::without_ancestors(TimelineId(1)),
                          repository_.archive().segment_size().round_down(first_)));
    EXPECT_GT(covered.end, whole_until) << covered.ended_by;
    EXPECT_FALSE(covered.has_gap);
    EXPECT_NE(rows, "0");
    EXPECT_EQ(restored_rows(), rows);
  }

  std::string restored_rows() {
    const Path target = home_ / "restored";
    const auto output = must(run_command(
        {Path(PITR_PROGRAM_DIRECTORY) / "pitr-restore", "--config", config_file(), "--latest",
         "--target-dir", target, "--start", "--port", std::to_string(port_.port()), "--bin-dir",
         cluster_.binary_directory(), "--set", "unix_socket_directories=" + home_.path().native(),
         "--set", "fsync=off", "--set", "synchronous_standby_names="}));
    EXPECT_EQ(output.status.exit_code, 0) << output.out << output.err;
    if (!output.status.success()) return "(failed)";
    auto connection = must(Connection::open(fmt::format(
        "host={} port={} user=postgres dbname=postgres", home_.path().native(), port_.port())));
    const auto result = must(connection.query("SELECT count(*) AS rows FROM pgbench_history"));
    const auto rows = must(must(result.only_row()).text("rows"));
    auto control = must(ServerControl::open(target, cluster_.binary_directory()));
    must(control.stop(StopMode::kImmediate));
    return rows;
  }

  Path config_file() const { return home_ / "pitr.yaml"; }
  Path log_file() const { return home_ / "agent.log"; }
  std::string agent_log() const { return read_text_file(log_file()).value_or("(no log)"); }

  TestCluster cluster_;
  const bool started_;
  StreamedRepository repository_;  // it never streams itself
  TemporaryDirectory home_;
  PortLease port_;
  std::uint64_t seed_ = 0;
  std::unique_ptr<Subprocess> agent_;
  Lsn first_;
  Lsn acknowledged_;
  std::uint64_t checked_to_ = 0;  // segments before it were complete
};

}  // namespace pitr::test
