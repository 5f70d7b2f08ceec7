// Base backups of real servers, both ways: what is published holds every file, starts as a server,
// and has the rows.

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>

#include "postgres/page_checksum.h"
#include "support/amcheck.h"
#include "support/pgbench.h"
#include "support/restored_backup.h"
#include "support/streamed_repository.h"
#include "support/subprocess.h"
#include "support/unpacked_backup.h"

namespace pitr::test {
namespace {

enum class Way { kLocal, kRemote };

class BaseBackupTest : public testing::TestWithParam<Way> {
 protected:
  BaseBackupRequest request(const StreamedRepository& repository, const TestCluster& cluster) {
    auto made = repository.backup_request(cluster);
    if (GetParam() == Way::kRemote) made.data_directory.reset();
    return made;
  }
  Path new_directory() { return directory_.path() / fmt::format("restored-{}", count_++); }

 private:
  TemporaryDirectory directory_ = must(TemporaryDirectory::create());
  int count_ = 0;
};

std::string checksum_of_table(TestCluster& cluster, const std::string& table) {
  return must(cluster.sql_value(fmt::format(
      "SELECT count(*) || ' ' || coalesce(sum(hashtext(t::text)), 0) FROM {} t", table)));
}

TEST_P(BaseBackupTest, ABackupTakenUnderLoadStartsWithEveryCommittedRow) {
  auto cluster = must(TestCluster::create());
  must(cluster.start());
  must(PgBench::initialize(cluster, 5));
  StreamedRepository repository(cluster);
  repository.start_streaming(cluster);
  auto load = must(PgBench::start(cluster, {.clients = 2}));
  const auto manifest = must(repository.take_backup(request(repository, cluster)));
  load.stop();
  must(
      cluster.wait_until("SELECT count(*) = 0 FROM pg_stat_activity "
                         "WHERE application_name = 'pgbench'"));
  repository.catch_up(cluster);
  repository.stop_streaming();

  EXPECT_EQ(manifest.checksum_failure_count, 0u);
  EXPECT_LT(manifest.start_lsn, manifest.stop_lsn);
  const auto listed = must(BackupCatalog(repository.store()).list());
  ASSERT_EQ(listed.size(), 1u);
  const auto directory = new_directory();
  auto restored = start_restored(
      repository, must(BackupCatalog(repository.store()).manifest(listed[0])), directory);
  for (const auto* table : {"pgbench_accounts", "pgbench_history", "pgbench_tellers"}) {
    EXPECT_EQ(checksum_of_table(restored, table), checksum_of_table(cluster, table)) << table;
  }
  check_with_amcheck(restored);
}

TEST_P(BaseBackupTest, TablespacesUnloggedTablesAndOddNamesAreBackedUp) {
  const auto place = must(TemporaryDirectory::create());
  auto cluster = must(TestCluster::create());
  must(cluster.start());
  must(cluster.sql(fmt::format("CREATE TABLESPACE space LOCATION '{}'", place.path().native())));
  must(
      cluster.sql("CREATE TABLE there(i int) TABLESPACE space;"
                  "INSERT INTO there SELECT generate_series(1, 10000);"
                  "CREATE UNLOGGED TABLE forgotten(i int);"
                  "INSERT INTO forgotten SELECT generate_series(1, 10000)"));
  must(write_file_durably(cluster.data_directory() / "odd name =.conf", as_bytes("content")));
  StreamedRepository repository(cluster);
  repository.start_streaming(cluster);
  const auto manifest = must(repository.take_backup(request(repository, cluster)));
  repository.catch_up(cluster);

  ASSERT_EQ(manifest.tablespaces.size(), 1u);
  EXPECT_EQ(manifest.tablespaces[0].location, place.path().native());
  const auto contents = must(BackupContents::open(repository.store(), manifest));
  const auto forgotten = must(cluster.sql_value("SELECT pg_relation_filepath('forgotten')"));
  const auto there = must(cluster.sql_value("SELECT pg_relation_filepath('there')"));
  const auto has = [&](const std::string& path) {
    return std::ranges::any_of(contents->files(),
                               [&](const FileRow& row) { return row.path == path; });
  };
  EXPECT_TRUE(has(forgotten + "_init"));
  EXPECT_FALSE(has(forgotten));
  EXPECT_TRUE(has(there));
  EXPECT_TRUE(has("odd name =.conf"));
  EXPECT_FALSE(has("postmaster.pid"));
  for (const auto* kept : {"pg_notify", "pg_replslot", "pg_wal/archive_status", "pg_twophase"}) {
    EXPECT_TRUE(has(kept)) << kept;
  }
  EXPECT_EQ(must(contents->read_file("odd name =.conf", 100)), [] {
    const auto text = as_bytes("content");
    return Bytes(text.begin(), text.end());
  }());
}

TEST_P(BaseBackupTest, DamagedPagesAreReportedAndTheBackupIsKept) {
  auto cluster = must(TestCluster::create());
  must(cluster.start());
  must(
      cluster.sql("CREATE TABLE t(i int); INSERT INTO t SELECT generate_series(1, 100000);"
                  "CHECKPOINT"));
  const auto path = must(cluster.sql_value("SELECT pg_relation_filepath('t')"));
  {
    auto file = must(File::open(cluster.data_directory() / path, O_WRONLY));
    must(file.write_at(as_bytes("damage"), 3 * kPageSizeBytes + 5000));
  }
  StreamedRepository repository(cluster);
  repository.start_streaming(cluster);
  const auto manifest = must(repository.take_backup(request(repository, cluster)));
  EXPECT_EQ(manifest.checksum_failure_count, 1u);
  if (GetParam() == Way::kLocal) {
    ASSERT_EQ(manifest.checksum_failures.size(), 1u);
    EXPECT_EQ(manifest.checksum_failures[0].path, path);
    EXPECT_EQ(manifest.checksum_failures[0].block, 3u);
  }
  const auto stored = must(BackupCatalog(repository.store()).manifests());
  ASSERT_EQ(stored.size(), 1u);
  EXPECT_EQ(stored[0].checksum_failure_count, 1u);
}

TEST_P(BaseBackupTest, WithoutItsWalABackupIsNotPublished) {
  auto cluster = must(TestCluster::create());
  must(cluster.start());
  StreamedRepository repository(cluster);
  repository.start_streaming(cluster);
  repository.catch_up(cluster);
  repository.stop_streaming();
  auto without_wal = request(repository, cluster);
  without_wal.wal_timeout = Milliseconds(300);
  const auto refused = repository.take_backup(without_wal);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message().find("not published"), std::string::npos);
  const BackupCatalog catalog(repository.store());
  EXPECT_TRUE(must(catalog.list()).empty());
  EXPECT_EQ(must(catalog.unfinished()).size(), 1u);
}

TEST_P(BaseBackupTest, SegmentsAreReadInPartsByAllWorkers) {
  auto cluster = must(TestCluster::create());
  must(cluster.start());
  must(
      cluster.sql("CREATE TABLE wide(i int, filler text);"
                  "ALTER TABLE wide ALTER filler SET STORAGE EXTERNAL;"
                  "INSERT INTO wide SELECT i, repeat(md5(i::text), 60) "
                  "FROM generate_series(1, 80000) i"));
  StreamedRepository repository(cluster);
  repository.start_streaming(cluster);
  auto in_small_packs = request(repository, cluster);
  in_small_packs.pack.pack_size_bytes = 8 << 20;
  const auto manifest = must(repository.take_backup(in_small_packs));
  repository.catch_up(cluster);
  repository.stop_streaming();
  EXPECT_GT(manifest.packs.size(), 3u);
  const auto directory = new_directory();
  auto restored = start_restored(repository, manifest, directory);
  EXPECT_EQ(checksum_of_table(restored, "wide"), checksum_of_table(cluster, "wide"));
}

INSTANTIATE_TEST_SUITE_P(Ways, BaseBackupTest, testing::Values(Way::kLocal, Way::kRemote),
                         [](const auto& way) {
                           return way.param == Way::kLocal ? "local" : "remote";
                         });

TEST(RemoteBackupTest, ARestoredDirectoryPassesPgVerifybackup) {
  auto cluster = must(TestCluster::create());
  must(cluster.start());
  must(PgBench::initialize(cluster, 1));
  StreamedRepository repository(cluster);
  repository.start_streaming(cluster);
  auto request = repository.backup_request(cluster);
  request.data_directory.reset();
  request.keep_server_manifest = true;
  const auto manifest = must(repository.take_backup(request));
  const auto directory = must(TemporaryDirectory::create());
  unpack_backup(repository.store(), manifest, directory.path() / "data");
  must(run_successfully({cluster.binary_directory() / "pg_verifybackup", "--no-parse-wal",
                         directory.path() / "data"}));
}

TEST(LocalBackupTest, AnotherServersDirectoryIsRefused) {
  auto primary = must(TestCluster::create());
  auto standby = must(primary.make_standby());
  must(primary.start());
  must(standby.start());
  auto stranger = must(TestCluster::create());
  must(stranger.start());
  StreamedRepository repository(primary);
  repository.start_streaming(primary);
  for (const auto* other : {&standby, &stranger}) {
    auto request = repository.backup_request(primary);
    request.data_directory = other->data_directory();
    const auto refused = repository.take_backup(request);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind(), ErrorKind::kInvalid) << refused.error().message();
    EXPECT_FALSE(refused.error().hint().empty());
  }
  EXPECT_TRUE(must(BackupCatalog(repository.store()).list()).empty());
}

TEST(LocalBackupTest, AStandbyCanBeBackedUp) {
  auto primary = must(TestCluster::create());
  must(primary.start());
  auto standby = must(primary.make_standby());
  must(standby.start());
  must(primary.sql("CREATE TABLE t AS SELECT generate_series(1, 10000) i; CHECKPOINT"));
  StreamedRepository repository(primary);
  repository.start_streaming(primary);
  must(standby.wait_until("SELECT to_regclass('t') IS NOT NULL"));
  auto request = repository.backup_request(standby);
  const auto manifest = must(repository.take_backup(request));
  must(primary.sql("INSERT INTO t SELECT generate_series(1, 10)"));
  repository.catch_up(primary);
  EXPECT_TRUE(manifest.from_standby);
  EXPECT_NE(manifest.backup_label.find("BACKUP FROM: standby"), std::string::npos);
}

}  // namespace
}  // namespace pitr::test
