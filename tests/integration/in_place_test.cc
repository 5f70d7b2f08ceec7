// pitr-restore --in-place on a cluster's own directory: after random work, a target is restored in
// place and compared with a fresh restore to the same LSN; then the safety backup brings everything
// back. With checksums and wal_log_hints on and off, readers that set hint bits after the target,
// clean stops and crashes, and SIGKILL in the middle.

#include <fmt/format.h>

#include <fstream>
#include <random>

#include "repository/backup/backup_reader.h"
#include "support/amcheck.h"
#include "support/restore_program.h"

namespace pitr::test {
namespace {

using testing::HasSubstr;
namespace fs = std::filesystem;

struct Kind {
  bool data_checksums = true;
  bool wal_log_hints = false;
  bool is_killed = false;
  bool hints_are_logged() const { return data_checksums || wal_log_hints; }
};

// A cluster with a backup, whose directory is restored in place. Durable: --in-place refuses what
// ran with fsync off.
class InPlace {
 public:
  explicit InPlace(const Kind& kind)
      : cluster_(must(
            TestCluster::create({.wal_segment_size_mb = 1,
                                 .data_checksums = kind.data_checksums,
                                 .durable = true,
                                 .settings = {{"wal_log_hints", kind.wal_log_hints ? "on" : "off"},
                                              {"autovacuum", "off"},
                                              {"synchronous_commit", "off"},
                                              {"max_prepared_transactions", "5"}}}))) {
    must(cluster_.start());
    repository_.emplace(cluster_);
    register_cluster(*repository_);
    must(cluster_.sql(
        "CREATE EXTENSION amcheck;"
        "CREATE TABLE t(i int PRIMARY KEY, filler text) WITH (fillfactor = 70);"
        "INSERT INTO t SELECT i, repeat('x', 300) FROM generate_series(1, 6000) i;"
        "CREATE TABLE quiet AS SELECT * FROM t; CREATE TABLE dropped AS SELECT * FROM t;"
        "VACUUM FREEZE; CHECKPOINT"));
    repository_->start_streaming(cluster_);
    repository_->wait_for("streaming", [](const WalReceiverStatus& status) {
      return status.state == WalReceiverState::kStreaming;
    });
    program_.emplace(repository_->directory() / "repository", repository_->key());
  }

  void back_up() { must(repository_->take_backup(repository_->backup_request(cluster_))); }
  void work(std::mt19937& random, int steps) {
    for (int i = 0; i < steps; ++i) must(cluster_.sql(statement(random)));
  }
  // Where the next record will be.
  std::string here() {
    must(cluster_.sql("SELECT pg_switch_wal()"));
    return must(cluster_.sql_value("SELECT pg_current_wal_insert_lsn()"));
  }
  void catch_up() { repository_->catch_up(cluster_); }
  void crash() {
    cluster_.kill_postmaster();
    repository_->stop_streaming();
  }
  void stop() {
    must(cluster_.stop());
    repository_->stop_streaming();
  }

  std::vector<std::string> arguments(const std::vector<std::string>& target) const {
    auto all = target;
    all.insert(all.end(),
               {"--in-place", "--yes", "--json", "--target-dir", cluster_.data_directory()});
    return all;
  }
  CommandOutput restore(const std::vector<std::string>& target) const {
    return program_->run(arguments(target));
  }
  // Starts it and kills it, at most so many times.
  void restore_killed(std::mt19937& random, const std::vector<std::string>& target) {
    std::vector<std::string> argv = {Path(PITR_PROGRAM_DIRECTORY) / "pitr-restore", "--config",
                                     program_->configuration()};
    const auto rest = arguments(target);
    argv.insert(argv.end(), rest.begin(), rest.end());
    for (int round = 0; round < 4 && !is_restored(); ++round) {
      auto process = must(Subprocess::start(argv));
      (void)process.wait(Milliseconds(std::uniform_int_distribution<int>(5, 350)(random)));
      process.kill();
      // Either nothing can start, or all is as it was or as it should be.
      const bool can_start = fs::exists(directory() / "global" / "pg_control");
      fmt::print("killed: {}\n", is_restored() ? "done" : can_start ? "untouched" : "half done");
      was_half_done_ = was_half_done_ || !can_start;
      if (!can_start) EXPECT_TRUE(fs::exists(directory() / "pitr_restore" / "journal.json"));
    }
  }
  bool was_half_done() const { return was_half_done_; }
  bool is_restored() const {
    return fs::exists(directory() / "global" / "pg_control") &&
           fs::exists(directory() / "backup_label");
  }
  const Path& directory() const { return cluster_.data_directory(); }
  // What users see of the restored cluster; it is started and stopped.
  std::string state_in_place() {
    must(cluster_.start());
    must(cluster_.wait_until("SELECT NOT pg_is_in_recovery()"));
    auto state = must(cluster_.sql_value(kState));
    check_consistency();
    return state;
  }
  void check_consistency() {
    check_with_amcheck(cluster_);
    const auto by_index =
        must(cluster_.sql_value("SET enable_seqscan = off; SELECT count(*) FROM t WHERE i > 0"));
    const auto by_heap = must(cluster_.sql_value(
        "SET enable_indexscan = off; SET enable_indexonlyscan = off; SET enable_bitmapscan = off; "
        "SELECT count(*) FROM t WHERE i > 0"));
    EXPECT_EQ(by_index, by_heap);
  }
  std::string state_of_fresh(const std::string& lsn) {
    RestoredServer fresh(cluster_);
    const auto& output = fresh.restore(*program_, {"--lsn", lsn});
    EXPECT_EQ(output.status.exit_code, 0) << fresh.story();
    return fresh.ask(std::string("(") + kState + ")");
  }

  static constexpr const char* kState =
      "SELECT (SELECT md5(string_agg(t::text, ',' ORDER BY i)) || count(*) FROM t) || "
      "(SELECT md5(string_agg(q::text, ',' ORDER BY i)) || count(*) FROM quiet q) || "
      "(SELECT string_agg(relname, ',' ORDER BY relname) FROM pg_class WHERE relnamespace = "
      "'public'::regnamespace)";

  TestCluster cluster_;
  std::optional<StreamedRepository> repository_;
  std::optional<RestoreProgram> program_;

 private:
  std::string statement(std::mt19937& random) {
    const auto number = random() % 10000;
    switch (random() % 12) {
      case 0:
        return fmt::format("UPDATE t SET filler = 'u' || i WHERE i % 97 = {}", number % 97);
      case 1:
        return fmt::format("DELETE FROM t WHERE i % 89 = {}", number % 89);
      case 2:
        ++next_;
        return fmt::format(
            "INSERT INTO t SELECT {0} * 100000 + i, repeat('y', 200) FROM "
            "generate_series(1, {1}) i",
            next_ + 1, 1 + number % 500);
      case 3:
        return fmt::format("BEGIN; UPDATE t SET filler = 'aborted' WHERE i % 53 = {}; ROLLBACK",
                           number % 53);
      case 4:
        return fmt::format(
            "DROP TABLE IF EXISTS n{0}; CREATE TABLE n{0} AS SELECT * FROM quiet "
            "LIMIT {1}",
            number % 3, number % 800);
      case 5:
        return "VACUUM (FREEZE) t";
      case 6:
        return "CHECKPOINT";
      case 7:
        return "REINDEX TABLE t";
      case 8:
        return fmt::format(
            "DROP TABLE IF EXISTS dropped; CREATE TABLE dropped(i int); INSERT INTO "
            "dropped SELECT generate_series(1, {})",
            number);
      case 9:
        return "TRUNCATE dropped; ALTER TABLE dropped ADD COLUMN IF NOT EXISTS more text";
      case 10:
        return "CLUSTER t USING t_pkey";
      default:
        return fmt::format("DELETE FROM t WHERE i > 90000 AND i % 3 = {}; VACUUM t", number % 3);
    }
  }
  int next_ = 0;
  bool was_half_done_ = false;
};

std::string story(const CommandOutput& output) {
  return fmt::format("exit code {}\n{}\n{}", output.status.exit_code, output.out, output.err);
}

class InPlaceTest : public testing::TestWithParam<Kind> {};

TEST_P(InPlaceTest, IsWhatAFreshRestoreIsAndCanBeUndone) {
  const auto kind = GetParam();
  const auto seed = std::random_device{}();
  fmt::print("seed {}\n", seed);
  SCOPED_TRACE(fmt::format("seed {}", seed));
  std::mt19937 random(seed);
  InPlace in_place(kind);
  in_place.work(random, 5);
  // Written before the backup, committed behind the target: the hint bits that a reader sets then
  // are all that changes on these pages. (Not prepared: recovery would know such a transaction.)
  auto open = std::optional(must(Connection::open(in_place.cluster_.conninfo())));
  must(open->command("BEGIN"));
  must(open->command("UPDATE quiet SET filler = 'never at the target' WHERE i < 300"));
  must(in_place.cluster_.sql("CHECKPOINT"));
  in_place.back_up();
  in_place.work(random, 8);
  const auto target = in_place.here();
  must(in_place.cluster_.sql("INSERT INTO t VALUES (-1, 'behind the target')"));
  must(open->command("COMMIT"));
  open.reset();
  must(in_place.cluster_.sql("SELECT sum(length(filler)) FROM quiet; CHECKPOINT"));
  in_place.work(random, 6);
  const bool crashes = random() % 2 == 0;
  // The last of it reaches the repository only by way of pg_wal.
  in_place.catch_up();
  in_place.repository_->stop_streaming();
  in_place.work(random, 3);
  const auto last = must(in_place.cluster_.sql_value(InPlace::kState));
  must(in_place.cluster_.sql("SET synchronous_commit = on; CREATE TABLE flushes()"));
  must(in_place.cluster_.sql("SET synchronous_commit = on; DROP TABLE flushes"));
  crashes ? in_place.crash() : in_place.stop();

  if (!kind.is_killed) {
    const auto shown = in_place.restore({"--lsn", target, "--dry-run"});
    ASSERT_EQ(shown.status.exit_code, 0) << story(shown);
  }
  if (kind.is_killed) in_place.restore_killed(random, {"--lsn", target});
  std::string undo;
  if (!in_place.is_restored()) {
    const auto output = in_place.restore({"--lsn", target});
    ASSERT_EQ(output.status.exit_code, 0) << story(output);
    const auto outcome = nlohmann::json::parse(output.out);
    const auto rewrite = outcome["plan"]["rewrite"];
    undo = outcome["undo"];
    if (!in_place.was_half_done()) {
      EXPECT_EQ(rewrite["mode"], kind.hints_are_logged() ? "by facts" : "by digest")
          << rewrite["reason"];
    }
  }
  EXPECT_EQ(in_place.state_in_place(), in_place.state_of_fresh(target));

  in_place.stop();
  if (undo.empty()) return;  // it was killed when all was done
  const auto undone = must(
      run_command({"/bin/sh", "-c", std::string(PITR_PROGRAM_DIRECTORY) + "/" + undo + " --yes"},
                  {.environment = {{"TZ", "UTC"}}}, Seconds(180)));
  ASSERT_EQ(undone.status.exit_code, 0) << story(undone);
  EXPECT_EQ(in_place.state_in_place(), last);
}

INSTANTIATE_TEST_SUITE_P(Kinds, InPlaceTest,
                         testing::Values(Kind{true, false, false}, Kind{false, true, true},
                                         Kind{false, false, false}),
                         [](const auto& tested) {
                           const auto& kind = tested.param;
                           return fmt::format("{}{}{}", kind.data_checksums ? "Checksums" : "None",
                                              kind.wal_log_hints ? "Hints" : "",
                                              kind.is_killed ? "Killed" : "");
                         });

TEST(InPlaceTablespaceTest, StayWhereTheyAreAndLaterOnesAreEmptied) {
  const auto home = must(TemporaryDirectory::create());
  const auto old_space = home.path() / "old";
  const auto new_space = home.path() / "new";
  fs::create_directory(old_space);
  fs::create_directory(new_space);
  InPlace in_place({});
  must(in_place.cluster_.sql(
      fmt::format("CREATE TABLESPACE old_space LOCATION '{}'", old_space.string())));
  must(
      in_place.cluster_.sql("CREATE TABLE kept TABLESPACE old_space AS SELECT * FROM quiet;"
                            "CREATE TABLE moved AS SELECT * FROM quiet"));
  in_place.back_up();
  must(in_place.cluster_.sql("UPDATE kept SET filler = 'before the target' WHERE i % 7 = 0"));
  const auto target = in_place.here();
  must(in_place.cluster_.sql(
      fmt::format("CREATE TABLESPACE new_space LOCATION '{}'", new_space.string())));
  must(
      in_place.cluster_.sql("ALTER TABLE moved SET TABLESPACE new_space;"
                            "CREATE TABLE more TABLESPACE old_space AS SELECT * FROM quiet;"
                            "UPDATE kept SET filler = 'behind the target'"));
  const char* query =
      "SELECT (SELECT md5(string_agg(k::text, ',' ORDER BY i)) FROM kept k) || (SELECT count(*) "
      "FROM moved) || (SELECT string_agg(spcname, ',' ORDER BY spcname) FROM pg_tablespace)";
  const auto last = must(in_place.cluster_.sql_value(query));
  in_place.catch_up();
  in_place.stop();
  std::ofstream(new_space / "not_ours") << "x";
  // pg_wal on another disk.
  const auto wal = home.path() / "wal";
  fs::rename(in_place.directory() / "pg_wal", wal);
  fs::create_directory_symlink(wal, in_place.directory() / "pg_wal");

  auto output = in_place.restore({"--lsn", target});
  ASSERT_EQ(output.status.exit_code, 0) << story(output);
  EXPECT_EQ(nlohmann::json::parse(output.out)["plan"]["rewrite"]["mode"], "by facts");
  EXPECT_TRUE(fs::is_symlink(in_place.directory() / "pg_wal"));
  EXPECT_TRUE(fs::exists(wal / "archive_status"));
  EXPECT_TRUE(fs::exists(new_space / "not_ours"));
  EXPECT_EQ(std::distance(fs::directory_iterator(new_space), fs::directory_iterator()), 1);
  const std::string undo = nlohmann::json::parse(output.out)["undo"];
  in_place.state_in_place();
  EXPECT_EQ(must(in_place.cluster_.sql_value("SELECT count(*) FROM kept WHERE filler = 'before the "
                                             "target'")),
            "857");
  EXPECT_EQ(must(in_place.cluster_.sql_value("SELECT count(*) FROM pg_tablespace")), "3");
  in_place.stop();
  fs::remove(new_space / "not_ours");
  output = must(
      run_command({"/bin/sh", "-c", std::string(PITR_PROGRAM_DIRECTORY) + "/" + undo + " --yes"},
                  {.environment = {{"TZ", "UTC"}}}, Seconds(180)));
  ASSERT_EQ(output.status.exit_code, 0) << story(output);
  in_place.state_in_place();
  EXPECT_EQ(must(in_place.cluster_.sql_value(query)), last);
}

TEST(InPlaceRefusalTest, SaysWhyAndTouchesNothing) {
  InPlace in_place({});
  in_place.back_up();
  const auto lsn = in_place.here();
  must(in_place.cluster_.sql("INSERT INTO t VALUES (-1, 'x')"));
  in_place.catch_up();
  const auto control = in_place.cluster_.data_directory() / "global" / "pg_control";
  auto output = in_place.restore({"--lsn", lsn});
  EXPECT_EQ(output.status.exit_code, 4);
  EXPECT_THAT(output.err, HasSubstr("a server (process "));
  in_place.stop();
  {
    std::ofstream conf(in_place.cluster_.data_directory() / "postgresql.auto.conf", std::ios::app);
    conf << "fsync = off\n";
  }
  output = in_place.restore({"--lsn", lsn});
  EXPECT_EQ(output.status.exit_code, 2);
  EXPECT_THAT(output.err, HasSubstr("postgresql.auto.conf turns fsync off"));
  const auto other = must(TestCluster::create({.wal_segment_size_mb = 1, .durable = true}));
  auto arguments = in_place.arguments({"--lsn", lsn});
  arguments.back() = other.data_directory();
  output = in_place.program_->run(arguments);
  EXPECT_EQ(output.status.exit_code, 2);
  EXPECT_THAT(output.err, HasSubstr("is another cluster"));
  EXPECT_TRUE(fs::exists(control));
}

}  // namespace
}  // namespace pitr::test
