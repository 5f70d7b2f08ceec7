// A cluster with a repository that streams it, for restores into its own directory.
#pragma once

#include <fmt/format.h>

#include <random>

#include "support/amcheck.h"
#include "support/restore_program.h"

namespace pitr::test {

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

inline std::string story(const CommandOutput& output) {
  return fmt::format("exit code {}\n{}\n{}", output.status.exit_code, output.out, output.err);
}

}  // namespace pitr::test
