// Incremental backups over the connection, on the major version that PITR_TEST_MAJOR names. From 17
// on the server sends only what changed; before, and wherever it can't tell, it sends everything,
// and the backup says why. Either way a backup must restore to what every other one restores to.
//
// PITR_ORACLE_SEED repeats a run's choices (not its timing), PITR_ORACLE_ROUNDS is how many backups
// are taken after the first one (2), PITR_ORACLE_STEPS how many statements before each (40).
#include <fmt/format.h>

#include <filesystem>
#include <iostream>
#include <thread>

#include "agent/pitr_site.h"
#include "postgres/backup_label.h"
#include "support/compare_scans.h"
#include "support/database_state.h"
#include "support/random_statements.h"
#include "support/restore_program.h"
#include "support/restored_backup.h"

namespace pitr::test {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr int kFirstMajor = 17;

class RemoteIncrementalTest : public testing::Test {
 protected:
  void start(std::map<std::string, std::string> settings = {}) {
    const auto major = must(ServerBinaries::find()).major;
    settings.insert({{"max_prepared_transactions", "20"}, {"lock_timeout", "100ms"}});
    if (major >= 15) settings.insert({"allow_in_place_tablespaces", "on"});
    if (major >= kFirstMajor) settings.insert({"summarize_wal", "on"});
    cluster_.emplace(must(TestCluster::create({.settings = settings})));
    must(cluster_->start());
    sends_changes_ = cluster_->major() >= kFirstMajor;
    repository_.emplace(*cluster_);
    register_cluster(*repository_);
    repository_->start_streaming(*cluster_);
  }
  BackupManifest back_up_remotely(TestCluster& cluster, ReadRequest read = ReadRequest::kAuto) {
    auto request = repository_->backup_request(cluster);
    request.data_directory.reset();
    request.read = read;
    return must(repository_->take_backup_under_load(request));
  }
  BackupManifest back_up_remotely() { return back_up_remotely(*cluster_); }
  BackupManifest back_up_locally() {
    return must(repository_->take_backup(repository_->backup_request(*cluster_)));
  }
  // On a server that can, only what changed was sent; on an older one the reason says so.
  void expect_incremental(const BackupManifest& backup, const BackupManifest& parent) {
    EXPECT_EQ(backup.parent, parent.id);
    if (sends_changes_) {
      EXPECT_EQ(backup.reading, BackupReading::kChangedBlocks) << backup.reading_reason;
      EXPECT_THAT(backup.reading_reason, HasSubstr("the server's WAL summaries since backup"));
      EXPECT_LT(backup.read_bytes, backup.total_bytes);
    } else {
      expect_everything(backup, fmt::format("PostgreSQL {} sends everything", cluster_->major()));
    }
    EXPECT_THAT(backup.backup_label, Not(HasSubstr("INCREMENTAL")));
    EXPECT_TRUE(parse_backup_label(backup.backup_label).has_value());
  }
  void expect_everything(const BackupManifest& backup, const std::string& reason) {
    EXPECT_EQ(backup.reading, BackupReading::kCompared);
    EXPECT_THAT(backup.reading_reason, HasSubstr(reason));
    EXPECT_GE(backup.read_bytes, backup.total_bytes);
  }
  // A server on it, behind all the WAL that is stored.
  TestCluster restore(const BackupManifest& manifest) {
    return start_restored(*repository_, manifest, home_ / fmt::format("restored-{}", count_++));
  }
  std::string restored_state(const BackupManifest& manifest);

  TemporaryDirectory home_ = must(TemporaryDirectory::create());
  std::optional<TestCluster> cluster_;
  std::optional<StreamedRepository> repository_;
  bool sends_changes_ = false;
  int count_ = 0;
};

std::string RemoteIncrementalTest::restored_state(const BackupManifest& manifest) {
  SCOPED_TRACE(manifest.id.text() + ": " + manifest.reading_reason);
  auto restored = restore(manifest);
  auto state = state_of(restored);
  check_tables_and_indexes(restored);
  must(restored.stop(StopMode::kImmediate));
  return state;
}

TEST_F(RemoteIncrementalTest, RandomChangesRestoreToWhatTheFirstBackupRestoresTo) {
  const auto seed = number_from_environment("PITR_ORACLE_SEED", std::random_device{}());
  const auto rounds = number_from_environment("PITR_ORACLE_ROUNDS", 2);
  const auto steps = number_from_environment("PITR_ORACLE_STEPS", 40);
  std::cout << "PITR_ORACLE_SEED=" << seed << std::endl;
  start({{"autovacuum_naptime", "1s"}});
  must(cluster_->sql("CREATE EXTENSION pg_visibility"));
  RandomStatements::make_tables(*cluster_);
  RandomStatements statements(seed, cluster_->major());
  std::uint64_t done = 0, refused = 0;
  const auto run = [&](std::uint64_t count, std::stop_token stop = {}) {
    for (std::uint64_t i = 0; i < count && !stop.stop_requested(); ++i) {
      const auto statement = statements.next();
      (cluster_->sql(statement.sql, statement.database).has_value() ? done : refused) += 1;
    }
  };
  run(10);
  std::vector<BackupManifest> backups = {seed % 2 == 0 ? back_up_locally() : back_up_remotely()};
  for (std::uint64_t round = 0; round < rounds; ++round) {
    run(steps);
    if (round % 2 == 1) must(cluster_->restart(StopMode::kImmediate));
    std::jthread load([&](std::stop_token stop) { run(~0ull, stop); });
    auto backup = back_up_remotely();
    load.request_stop();
    load.join();
    expect_incremental(backup, backups.back());
    backups.push_back(std::move(backup));
  }
  run(10);
  repository_->catch_up(*cluster_);
  repository_->stop_streaming();
  std::cout << fmt::format("{} statements done, {} refused", done, refused) << std::endl;
  const auto expected = restored_state(backups.front());
  for (std::size_t i = 1; i < backups.size(); ++i) {
    std::cout << fmt::format("backup {}: {} of {} bytes read, {} stored", i, backups[i].read_bytes,
                             backups[i].total_bytes, backups[i].stored_bytes)
              << std::endl;
    EXPECT_EQ(restored_state(backups[i]), expected) << "backup " << i;
  }
}

// A server that extends a file and doesn't come to use the new blocks leaves zeros that no WAL
// tells of, and an incremental backup of its own counts them as unchanged.
TEST_F(RemoteIncrementalTest, RowsThatWereCutOffDoNotComeBack) {
  start({{"autovacuum", "off"}});
  must(
      cluster_->sql("CREATE TABLE t(i int, filler text);"
                    "INSERT INTO t SELECT i, repeat('x', 900) FROM generate_series(1, 8000) i;"
                    "VACUUM t; CHECKPOINT"));
  const auto base = back_up_remotely();
  must(cluster_->sql("DELETE FROM t WHERE i > 800; VACUUM t"));
  const Path file =
      cluster_->data_directory() / must(cluster_->sql_value("SELECT pg_relation_filepath('t')"));
  must(cluster_->stop());
  const auto size = std::filesystem::file_size(file);
  ASSERT_LT(size, 200 * kBlockSize) << "VACUUM did not cut the file";
  std::filesystem::resize_file(file, size + 50 * kBlockSize);
  must(cluster_->start());
  const auto backup = back_up_remotely();
  repository_->catch_up(*cluster_);
  repository_->stop_streaming();
  expect_incremental(backup, base);
  auto restored = restore(backup);
  EXPECT_EQ(must(restored.sql_value("SELECT count(*) || ' ' || max(i) FROM t")), "800 800");
}

// Up to 15 a server leaves them out where it is asked for a map of tablespaces.
TEST_F(RemoteIncrementalTest, TablespacesInPlaceAreTakenWithTheRest) {
  start();
  if (cluster_->major() < 15) return;  // there are none
  must(cluster_->sql("CREATE TABLESPACE inside LOCATION ''"));
  must(
      cluster_->sql("CREATE TABLE t TABLESPACE inside AS SELECT i FROM generate_series(1, 500) i;"
                    "CREATE UNLOGGED TABLE u(i int) TABLESPACE inside; CHECKPOINT"));
  const auto backup = back_up_remotely();
  repository_->catch_up(*cluster_);
  const std::string sums = "SELECT (SELECT count(*) FROM t) || ' ' || (SELECT count(*) FROM u)";
  {
    auto restored = restore(backup);
    EXPECT_EQ(must(restored.sql_value(sums)), "500 0");
  }
  const auto linked = home_ / "linked";
  std::filesystem::create_directory(linked);
  must(cluster_->sql(fmt::format("CREATE TABLESPACE linked LOCATION '{}'", linked.string())));
  auto request = repository_->backup_request(*cluster_);
  request.data_directory.reset();
  const auto mixed = repository_->take_backup(request);
  ASSERT_EQ(mixed.has_value(), cluster_->major() >= 16);
  if (!mixed) EXPECT_THAT(mixed.error().message(), HasSubstr("leaves tablespaces in place out"));
}

TEST_F(RemoteIncrementalTest, ARestoreByTheProgramStarts) {
  start();
  must(cluster_->sql("CREATE TABLE t AS SELECT i, md5(i::text) FROM generate_series(1, 20000) i"));
  const auto base = back_up_locally();
  must(cluster_->sql("UPDATE t SET md5 = 'changed' WHERE i % 500 = 0"));
  const auto backup = back_up_remotely();
  expect_incremental(backup, base);
  must(cluster_->sql("DELETE FROM t WHERE i = 1"));
  const std::string sums = "SELECT count(*) || ' ' || sum(hashtext(t::text)) FROM t";
  const auto expected = must(cluster_->sql_value(sums));
  repository_->catch_up(*cluster_);
  repository_->stop_streaming();
  const RestoreProgram program(repository_->directory() / "repository", repository_->key());
  RestoredServer restored(*cluster_);
  const auto& output = restored.restore(program, {"--latest", "--backup", backup.id.text()});
  ASSERT_EQ(output.status.exit_code, 0) << restored.story();
  EXPECT_EQ(restored.ask(sums), expected);
}

TEST_F(RemoteIncrementalTest, WhyEverythingIsSentIsTold) {
  start();
  must(cluster_->sql("CREATE TABLE t AS SELECT i FROM generate_series(1, 20000) i"));
  back_up_remotely();
  expect_everything(back_up_remotely(*cluster_, ReadRequest::kFull), "a full read was asked for");
  const auto independent = back_up_remotely(*cluster_, ReadRequest::kIndependent);
  EXPECT_EQ(independent.reading, BackupReading::kEverything);
  if (!sends_changes_) {
    return expect_everything(back_up_remotely(),
                             fmt::format("PostgreSQL {} sends everything", cluster_->major()));
  }
  // The server looks only when it is to send, and then refuses.
  must(cluster_->sql("INSERT INTO t VALUES (0)"));
  const auto end = must(cluster_->sql_value("SELECT pg_current_wal_insert_lsn()"));
  must(cluster_->sql("SELECT pg_switch_wal(); CHECKPOINT"));
  must(cluster_->wait_until(
      fmt::format("SELECT summarized_lsn >= '{}' FROM pg_get_wal_summarizer_state()", end)));
  for (const auto& summary :
       std::filesystem::directory_iterator(cluster_->data_directory() / "pg_wal" / "summaries")) {
    std::filesystem::remove(summary.path());
  }
  const auto without = back_up_remotely();
  expect_everything(without, "WAL summaries are required on timeline 1");
  EXPECT_EQ(without.parent, independent.id);
  expect_incremental(back_up_remotely(), without);
  must(cluster_->configure({{"summarize_wal", "off"}}));
  must(cluster_->reload());
  must(cluster_->wait_until("SELECT current_setting('summarize_wal') = 'off'"));
  expect_everything(back_up_remotely(), "the server has summarize_wal off");
}

TEST_F(RemoteIncrementalTest, CheckRecommendsSummariesWhereBackupsComeOverTheConnection) {
  start();
  const PitrSite remote(cluster_->conninfo());
  const PitrSite local(*cluster_);
  const std::string fix = "ALTER SYSTEM SET summarize_wal = on";
  EXPECT_THAT(remote.run({"pitr", "check"}).out, Not(HasSubstr(fix)));
  if (!sends_changes_) return;
  must(cluster_->configure({{"summarize_wal", "off"}}));
  must(cluster_->reload());
  must(cluster_->wait_until("SELECT current_setting('summarize_wal') = 'off'"));
  EXPECT_THAT(remote.run({"pitr", "check"}).out, HasSubstr(fix));
  EXPECT_THAT(local.run({"pitr", "check"}).out, Not(HasSubstr(fix)));
}

TEST_F(RemoteIncrementalTest, OnlyABackupOfTheServersOwnHistoryIsBuiltOn) {
  start({{"autovacuum", "off"}, {"wal_keep_size", "1GB"}});
  must(
      cluster_->sql("CREATE TABLE t(id int PRIMARY KEY, n int);"
                    "INSERT INTO t SELECT i, 0 FROM generate_series(1, 40000) i"));
  auto standby = must(cluster_->make_standby());
  must(standby.start());
  const auto shared = back_up_remotely();
  must(cluster_->sql("UPDATE t SET n = 1 WHERE id = 1"));
  const auto end = must(cluster_->sql_value("SELECT pg_current_wal_flush_lsn()"));
  must(standby.wait_until(fmt::format("SELECT pg_last_wal_replay_lsn() >= '{}'", end)));
  must(standby.stop());
  must(cluster_->sql("UPDATE t SET n = 7 WHERE id % 50 = 0; CHECKPOINT"));
  const auto abandoned = back_up_remotely();
  repository_->catch_up(*cluster_);
  must(cluster_->stop());

  must(standby.start());
  must(standby.promote());
  repository_->start_streaming(standby, "pitr_second");
  // Well behind the abandoned backup, which its own WAL would seem to cover.
  must(
      standby.sql("CREATE TABLE other AS SELECT repeat('x', 1000) FROM generate_series(1, 60000)"));
  for (int i = 0; i < 3; ++i) must(standby.sql("SELECT pg_switch_wal(); CHECKPOINT"));
  repository_->catch_up(standby);
  const auto backup = back_up_remotely(standby);
  EXPECT_GT(backup.start_lsn, abandoned.stop_lsn);
  EXPECT_EQ(backup.timeline, TimelineId(2));
  expect_incremental(backup, shared);
  repository_->catch_up(standby);
  repository_->stop_streaming();
  auto restored = restore(backup);
  const std::string sums = "SELECT count(*) || ' ' || sum(hashtext(t::text)) FROM t";
  EXPECT_EQ(must(restored.sql_value(sums)), must(standby.sql_value(sums)));
}

}  // namespace
}  // namespace pitr::test
