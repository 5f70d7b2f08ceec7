// Incremental backups, one rule at a time: each test is about a change that a backup would miss, or
// would wrongly have, if it trusted what it must not trust.
#include <fcntl.h>
#include <fmt/format.h>

#include "postgres/page_checksum.h"
#include "support/amcheck.h"
#include "support/restored_backup.h"

namespace pitr::test {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

// Does something once all files were read, before the backup is stopped.
class AfterReading final : public Observer {
 public:
  explicit AfterReading(std::function<void()> action) : action_(std::move(action)) {}
  void phase(std::string_view name, std::uint64_t total_bytes) override {
    is_copying_ = name == "copying files";
    left_bytes_ = total_bytes;
  }
  void advance(std::uint64_t bytes) override {
    const auto left = left_bytes_ -= bytes;
    if (is_copying_ && left == 0) action_();
  }
  void warn(std::string_view) override {}

 private:
  const std::function<void()> action_;
  std::atomic<bool> is_copying_ = false;
  std::atomic<std::uint64_t> left_bytes_ = 0;
};

class Warnings final : public Observer {
 public:
  void phase(std::string_view, std::uint64_t) override {}
  void advance(std::uint64_t) override {}
  void warn(std::string_view message) override {
    const std::lock_guard lock(mutex_);
    text_ += std::string(message) + "\n";
  }
  const std::string& text() const { return text_; }

 private:
  std::mutex mutex_;
  std::string text_;
};

// A server with a table of numbered rows, a few MB of it, that nobody but the test changes.
class IncrementalTest : public testing::Test {
 protected:
  void start(bool data_checksums = true) {
    cluster_.emplace(must(
        TestCluster::create({.data_checksums = data_checksums,
                             .settings = {{"autovacuum", "off"}, {"shared_buffers", "64MB"}}})));
    must(cluster_->start());
    must(
        cluster_->sql("CREATE TABLE t(id int PRIMARY KEY, n int NOT NULL, filler text);"
                      "INSERT INTO t SELECT i, 0, repeat(md5(i::text), 6) "
                      "FROM generate_series(1, 40000) i; VACUUM (ANALYZE, FREEZE) t; CHECKPOINT"));
    path_ = must(cluster_->sql_value("SELECT pg_relation_filepath('t')"));
    repository_.emplace(*cluster_);
    repository_->start_streaming(*cluster_);
  }
  BackupManifest back_up(ReadRequest read = ReadRequest::kAuto) {
    NullObserver nobody;
    return back_up(read, nobody);
  }
  BackupManifest back_up(ReadRequest read, Observer& observer) {
    return back_up_of(*cluster_, read, observer);
  }
  BackupManifest back_up_of(const TestCluster& cluster, ReadRequest read, Observer& observer) {
    auto request = repository_->backup_request(cluster);
    request.read = read;
    return must(take_base_backup(repository_->store(), repository_->archive(), repository_->facts(),
                                 request, repository_->clock(), observer, {}));
  }
  // A server on it, behind all the WAL of its timeline that is stored.
  TestCluster& restore(const BackupManifest& manifest, const TestCluster& original) {
    restored_.reset();
    const auto directory = home_ / fmt::format("restored-{}", count_++);
    restored_.emplace(start_restored(*repository_, manifest, directory));
    EXPECT_EQ(sum(*restored_), sum(const_cast<TestCluster&>(original)));
    check_with_amcheck(*restored_);
    return *restored_;
  }
  TestCluster& restore(const BackupManifest& manifest) {
    if (!std::exchange(is_caught_up_, true)) {
      repository_->catch_up(*cluster_);
      repository_->stop_streaming();
    }
    return restore(manifest, *cluster_);
  }
  static std::string sum(TestCluster& cluster) {
    return must(cluster.sql_value("SELECT count(*) || ' ' || sum(hashtext(t::text)) FROM t"));
  }
  void write_page(std::uint32_t block, ByteView page) {
    auto file = must(File::open(cluster_->data_directory() / path_, O_WRONLY));
    must(file.write_at(page, std::uint64_t{block} * kPageSizeBytes));
  }
  Bytes read_page(std::uint32_t block) {
    auto file = must(File::open(cluster_->data_directory() / path_, O_RDONLY));
    Bytes page(kPageSizeBytes);
    must(file.read_at(page, std::uint64_t{block} * kPageSizeBytes));
    return page;
  }

  TemporaryDirectory home_ = must(TemporaryDirectory::create());
  std::optional<TestCluster> cluster_;
  std::optional<StreamedRepository> repository_;
  std::optional<TestCluster> restored_;
  std::string path_;  // of the table's file
  bool is_caught_up_ = false;
  int count_ = 0;
};

TEST_F(IncrementalTest, OnlyWhatChangedIsReadAndStored) {
  start();
  const auto base = back_up();
  EXPECT_EQ(base.reading, BackupReading::kEverything);
  EXPECT_EQ(base.reading_reason, "there is no earlier backup");
  EXPECT_FALSE(base.parent);

  must(
      cluster_->sql("UPDATE t SET n = 1 WHERE id % 4000 = 0; INSERT INTO t "
                    "SELECT i, 2, 'new' FROM generate_series(50001, 51000) i"));
  const auto incremental = back_up();
  EXPECT_EQ(incremental.reading, BackupReading::kChangedBlocks) << incremental.reading_reason;
  EXPECT_EQ(incremental.parent, base.id);
  EXPECT_THAT(incremental.reading_reason, HasSubstr(base.id.text()));
  // Free space maps of all those small catalogs are most of what is read.
  EXPECT_LT(incremental.read_bytes, base.read_bytes / 3);
  EXPECT_LT(incremental.stored_bytes, base.stored_bytes / 10);

  must(cluster_->sql("DELETE FROM t WHERE id BETWEEN 100 AND 200; CREATE INDEX ON t(n)"));
  const auto second = back_up();
  EXPECT_EQ(second.parent, incremental.id);
  EXPECT_EQ(second.reading, BackupReading::kChangedBlocks) << second.reading_reason;
  restore(incremental);
  restore(second);
  const auto listed = must(BackupCatalog(repository_->store()).manifests());
  ASSERT_EQ(listed.size(), 3u);
  EXPECT_EQ(listed[2].reading_reason, second.reading_reason);
}

TEST_F(IncrementalTest, NothingChangedCostsNextToNothing) {
  start();
  back_up();
  const auto first = back_up();
  const auto second = back_up();
  EXPECT_EQ(second.reading, BackupReading::kChangedBlocks) << second.reading_reason;
  EXPECT_EQ(second.parent, first.id);
  EXPECT_LT(second.stored_bytes, 200'000u);
  restore(second);
}

TEST_F(IncrementalTest, AFullOneReadsEverythingAndAnIndependentOneStoresItToo) {
  start();
  const auto base = back_up();
  must(cluster_->sql("UPDATE t SET n = 1 WHERE id < 500"));
  const auto full = back_up(ReadRequest::kFull);
  EXPECT_EQ(full.reading, BackupReading::kCompared);
  EXPECT_EQ(full.parent, base.id);
  EXPECT_GT(full.read_bytes, base.read_bytes / 2);
  EXPECT_LT(full.stored_bytes, base.stored_bytes / 4);
  const auto independent = back_up(ReadRequest::kIndependent);
  EXPECT_EQ(independent.reading, BackupReading::kEverything);
  EXPECT_FALSE(independent.parent);
  EXPECT_GT(independent.stored_bytes, base.stored_bytes / 2);
  for (const auto& checked : {full, independent}) {
    EXPECT_TRUE(checked.promise.against.has_value());
    EXPECT_GT(checked.promise.checked_blocks, 1000u);
    EXPECT_EQ(checked.promise.unexplained_count, 0u);
  }
  restore(full);
  restore(independent);
}

// A delete clears visibility bits without any record that names the map's page.
TEST_F(IncrementalTest, TheVisibilityMapIsTakenWhole) {
  start();
  must(cluster_->sql("CREATE EXTENSION pg_visibility"));
  back_up();
  // Far from the table's first page, which has the number of the map's only page.
  must(cluster_->sql("DELETE FROM t WHERE id > 20000 AND id % 10 = 0; CHECKPOINT"));
  const auto incremental = back_up();
  ASSERT_EQ(incremental.reading, BackupReading::kChangedBlocks) << incremental.reading_reason;
  auto& restored = restore(incremental);
  const auto by_map = must(restored.sql_value(
      "SET enable_seqscan = off; SET enable_bitmapscan = off; SELECT count(id) FROM t"));
  const auto by_heap = must(restored.sql_value(
      "SET enable_indexscan = off; SET enable_indexonlyscan = off; SET enable_bitmapscan = off; "
      "SELECT count(id) FROM t"));
  EXPECT_EQ(by_map, by_heap);
  EXPECT_EQ(must(restored.sql_value("SELECT count(*) FROM pg_check_visible('t')")), "0");
}

// The parent has read the table before, and stops after it.
TEST_F(IncrementalTest, ChangesDuringTheParentAreReadAgain) {
  start();
  // In an earlier segment than the stop: facts are about whole segments.
  AfterReading update([&] {
    must(cluster_->sql("UPDATE t SET n = 1 WHERE id % 100 = 0; SELECT pg_switch_wal()"));
  });
  back_up(ReadRequest::kAuto, update);
  ASSERT_EQ(must(cluster_->sql_value("SELECT sum(n) FROM t")), "400");
  const auto incremental = back_up();
  ASSERT_EQ(incremental.reading, BackupReading::kChangedBlocks) << incremental.reading_reason;
  restore(incremental);
}

// A backup on the timeline that the cluster left holds changes that the cluster never made.
TEST_F(IncrementalTest, ABackupOnAnAbandonedTimelineIsNoParent) {
  start();
  must(cluster_->configure({{"wal_keep_size", "1GB"}}));
  auto standby = must(cluster_->make_standby());
  must(standby.start());
  const auto shared = back_up();
  must(cluster_->sql("UPDATE t SET n = 1 WHERE id = 1"));
  const auto end = must(cluster_->sql_value("SELECT pg_current_wal_flush_lsn()"));
  must(standby.wait_until(fmt::format("SELECT pg_last_wal_replay_lsn() >= '{}'", end)));
  must(standby.stop());
  must(cluster_->sql("UPDATE t SET n = 7 WHERE id % 50 = 0; CHECKPOINT"));
  const auto abandoned = back_up();
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
  NullObserver nobody;
  const auto incremental = back_up_of(standby, ReadRequest::kAuto, nobody);
  EXPECT_GT(incremental.start_lsn, abandoned.stop_lsn);
  EXPECT_EQ(incremental.timeline, TimelineId(2));
  EXPECT_EQ(incremental.parent, shared.id) << incremental.reading_reason;
  EXPECT_EQ(incremental.reading, BackupReading::kChangedBlocks) << incremental.reading_reason;
  repository_->catch_up(standby);
  repository_->stop_streaming();
  restore(incremental, standby);
}

// pg_checksums writes every page, and no WAL.
TEST_F(IncrementalTest, ChecksumsEnabledInBetweenForceAFullRead) {
  start(/*data_checksums=*/false);
  const auto base = back_up();
  must(cluster_->stop());
  must(run_successfully({cluster_->binary_directory() / "pg_checksums", "--enable", "-D",
                         cluster_->data_directory()}));
  must(cluster_->start());
  const auto incremental = back_up();
  EXPECT_EQ(incremental.parent, base.id);
  EXPECT_EQ(incremental.reading, BackupReading::kCompared);
  EXPECT_THAT(incremental.reading_reason, HasSubstr("pg_checksums"));
  auto& restored = restore(incremental);
  EXPECT_EQ(must(restored.sql_value("SHOW data_checksums")), "on");
  must(restored.stop());
  must(run_successfully(
      {cluster_->binary_directory() / "pg_checksums", "--check", "-D", restored.data_directory()}));
}

TEST_F(IncrementalTest, DamagedPagesOfTheParentAreReadAgain) {
  start();
  must(cluster_->stop());
  const auto page = read_page(5);
  auto damaged = page;
  damaged[4000] ^= 0xFF;
  write_page(5, damaged);
  must(cluster_->start());
  const auto base = back_up();
  ASSERT_EQ(base.checksum_failure_count, 1u);
  write_page(5, page);
  const auto incremental = back_up();
  EXPECT_EQ(incremental.reading, BackupReading::kChangedBlocks) << incremental.reading_reason;
  EXPECT_EQ(incremental.checksum_failure_count, 0u);
  restore(incremental);
}

TEST_F(IncrementalTest, ABlockThatChangedWithoutWalIsAlarmedByAnIndependentBackup) {
  start();
  const auto base = back_up();
  must(cluster_->sql("UPDATE t SET n = 1 WHERE id = 40000"));
  must(cluster_->stop());
  auto page = read_page(5);
  page[8000] ^= 0x01;  // in a row's text
  const auto checksum = page_checksum(page, 5);
  page[8] = static_cast<std::uint8_t>(checksum);
  page[9] = static_cast<std::uint8_t>(checksum >> 8);
  write_page(5, page);
  must(cluster_->start());
  Warnings warnings;
  const auto independent = back_up(ReadRequest::kIndependent, warnings);
  EXPECT_EQ(independent.promise.against, base.id);
  EXPECT_EQ(independent.promise.unexplained_count, 1u);
  ASSERT_EQ(independent.promise.blocks.size(), 1u);
  EXPECT_EQ(independent.promise.blocks[0].path, path_);
  EXPECT_EQ(independent.promise.blocks[0].block, 5u);
  EXPECT_THAT(warnings.text(), HasSubstr("ALARM"));
  restore(independent);
}

// Without data checksums and wal_log_hints a block may differ in hint bits, and it's no alarm.
TEST_F(IncrementalTest, HintBitsThatAreNotLoggedAreNoAlarm) {
  start(/*data_checksums=*/false);
  must(cluster_->sql("CREATE TABLE hints AS SELECT * FROM t; CHECKPOINT"));
  back_up();
  must(cluster_->sql("SELECT count(*) FROM hints; CHECKPOINT"));
  Warnings warnings;
  const auto independent = back_up(ReadRequest::kIndependent, warnings);
  EXPECT_FALSE(independent.promise.against);
  EXPECT_EQ(independent.promise.unexplained_count, 0u);
  EXPECT_THAT(warnings.text(), IsEmpty());
}

// Facts are missing: the WAL of a while was never stored.
TEST_F(IncrementalTest, AHoleInTheWalForcesAFullRead) {
  start();
  const auto base = back_up();
  repository_->catch_up(*cluster_);
  repository_->stop_streaming();
  must(cluster_->sql("SELECT pg_drop_replication_slot('pitr_main')"));
  must(cluster_->sql("UPDATE t SET n = 1 WHERE id % 100 = 0"));
  for (int i = 0; i < 4; ++i) {
    must(cluster_->sql("CREATE TABLE x(); DROP TABLE x; SELECT pg_switch_wal()"));
    must(cluster_->sql("CHECKPOINT"));
  }
  repository_->start_streaming(*cluster_, "pitr_again");
  repository_->wait_for("streaming", [](const WalReceiverStatus& status) {
    return status.state == WalReceiverState::kStreaming;
  });
  const auto next = back_up();
  EXPECT_EQ(next.reading, BackupReading::kCompared);
  EXPECT_EQ(next.parent, base.id);
  EXPECT_THAT(next.reading_reason, HasSubstr("is not known"));
  restore(next);
}

TEST_F(IncrementalTest, OverTheConnectionOnlyWhatDiffersIsStored) {
  start();
  const auto base = back_up();
  must(cluster_->sql("UPDATE t SET n = 1 WHERE id % 4000 = 0"));
  auto request = repository_->backup_request(*cluster_);
  request.data_directory.reset();
  const auto remote = must(repository_->take_backup(request));
  EXPECT_EQ(remote.reading, BackupReading::kCompared);
  EXPECT_EQ(remote.parent, base.id);
  EXPECT_GT(remote.read_bytes, base.read_bytes / 2);
  EXPECT_LT(remote.stored_bytes, base.stored_bytes / 5);
  const auto local = back_up();
  EXPECT_EQ(local.parent, remote.id);
  EXPECT_EQ(local.reading, BackupReading::kChangedBlocks) << local.reading_reason;
  restore(remote);
  restore(local);
}

}  // namespace
}  // namespace pitr::test
