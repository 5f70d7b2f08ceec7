// A relation of more than 1 GiB lies in several files. What the WAL says of its blocks must reach
// the right file and the right place in it: while it grows over the border, shrinks back over it
// (the second file stays, and is empty), grows again, and is put back in place.
#include <fmt/format.h>

#include "support/amcheck.h"
#include "support/restore_program.h"
#include "support/restored_backup.h"

namespace pitr::test {
namespace {

constexpr int kBlocksOfFirstFile = 131'072;  // 1 GiB

class LargeRelationTest : public testing::Test {
 protected:
  LargeRelationTest()
      : cluster_(must(TestCluster::create({.durable = true,  // for the restore in place
                                           .settings = {{"autovacuum", "off"},
                                                        {"synchronous_commit", "off"},
                                                        {"max_wal_size", "4GB"},
                                                        {"shared_buffers", "256MB"}}}))) {
    must(cluster_.start());
    // One row to a page, and most of each page empty: it's large and quickly made.
    must(
        cluster_.sql("CREATE EXTENSION amcheck;"
                     "CREATE TABLE big(id int, n int, filler text) WITH (fillfactor = 10);"
                     "ALTER TABLE big ALTER filler SET STORAGE PLAIN"));
    insert(1, kBlocksOfFirstFile + 4000);
    must(cluster_.sql("CREATE INDEX big_id ON big(id); VACUUM (FREEZE) big; CHECKPOINT"));
    path_ = must(cluster_.sql_value("SELECT pg_relation_filepath('big')"));
    repository_.emplace(cluster_);
    register_cluster(*repository_);
    repository_->start_streaming(cluster_);
  }

  void insert(int from, int to) {
    must(
        cluster_.sql(fmt::format("INSERT INTO big SELECT i, 0, repeat('x', 600) "
                                 "FROM generate_series({}, {}) i",
                                 from, to)));
  }
  std::uintmax_t second_file_bytes() const {
    return std::filesystem::file_size(cluster_.data_directory() / (path_ + ".1"));
  }
  BackupManifest back_up() {
    must(cluster_.sql("CHECKPOINT"));
    auto manifest = must(repository_->take_backup(repository_->backup_request(cluster_)));
    const bool is_first = backups_.empty();
    EXPECT_EQ(manifest.reading,
              is_first ? BackupReading::kEverything : BackupReading::kChangedBlocks)
        << manifest.reading_reason;
    if (!is_first) EXPECT_LT(manifest.read_bytes, 200u << 20);
    backups_.push_back(manifest);
    return manifest;
  }
  static std::string state(TestCluster& cluster) {
    return must(
        cluster.sql_value("SELECT count(*) || ' ' || sum(hashtext(big::text)) || ' ' || "
                          "pg_relation_size('big') FROM big"));
  }
  void expect_restored(const BackupManifest& manifest, const std::string& expected) {
    SCOPED_TRACE(manifest.id.text());
    const auto directory = home_ / manifest.id.text();
    {
      auto restored = start_restored(*repository_, manifest, directory);
      EXPECT_EQ(state(restored), expected);
      check_with_amcheck(restored);
    }
    must(remove_tree(directory));
  }

  TemporaryDirectory home_ = must(TemporaryDirectory::create());
  TestCluster cluster_;
  std::optional<StreamedRepository> repository_;
  std::string path_;
  std::vector<BackupManifest> backups_;
};

TEST_F(LargeRelationTest, BlocksBehindTheFirstGigabyteAreFound) {
  back_up();
  must(cluster_.sql(fmt::format("UPDATE big SET n = 1 WHERE id % 5000 = 7 OR id BETWEEN {} AND {}",
                                kBlocksOfFirstFile + 100, kBlocksOfFirstFile + 900)));
  back_up();
  must(cluster_.sql(
      fmt::format("DELETE FROM big WHERE id > {}; VACUUM big", kBlocksOfFirstFile - 2000)));
  EXPECT_EQ(second_file_bytes(), 0u);
  back_up();
  insert(200'001, 206'000);
  EXPECT_GT(second_file_bytes(), 1u << 20);
  back_up();
  must(cluster_.sql("UPDATE big SET n = 2 WHERE id % 1000 = 3"));
  back_up();
  repository_->catch_up(cluster_);
  const auto good = state(cluster_);
  for (const auto& backup : backups_) expect_restored(backup, good);

  must(cluster_.sql("SELECT pg_switch_wal()"));
  const auto target = must(cluster_.sql_value("SELECT pg_current_wal_insert_lsn()"));
  must(cluster_.sql("UPDATE big SET n = 3 WHERE id > 205000; DELETE FROM big WHERE id % 7 = 0"));
  insert(300'001, 301'000);
  repository_->catch_up(cluster_);
  must(cluster_.stop());
  repository_->stop_streaming();
  const RestoreProgram program(repository_->directory() / "repository", repository_->key());
  const auto output = program.run({"--lsn", target, "--in-place", "--no-safety", "--yes", "--json",
                                   "--target-dir", cluster_.data_directory()});
  ASSERT_EQ(output.status.exit_code, 0) << output.out << output.err;
  must(cluster_.start());
  must(cluster_.wait_until("SELECT NOT pg_is_in_recovery()"));
  EXPECT_EQ(state(cluster_), good);
  check_with_amcheck(cluster_);
}

}  // namespace
}  // namespace pitr::test
