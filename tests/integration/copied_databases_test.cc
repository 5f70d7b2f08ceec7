// Databases that are copied or moved while a backup runs: replay would make the copy again from
// what the backup has of the original.
#include "repository/backup/backup_reader.h"
#include "support/restored_backup.h"
#include "support/streamed_repository.h"

namespace pitr::test {
namespace {

using testing::HasSubstr;

// Does something as soon as the backup has begun and before it reads a file.
class AtTheStart final : public Observer {
 public:
  explicit AtTheStart(std::function<void()> act) : act_(std::move(act)) {}
  void phase(std::string_view name, std::uint64_t) override {
    if (name.ends_with("ing files") && act_) std::exchange(act_, nullptr)();
  }
  void advance(std::uint64_t) override {}
  void warn(std::string_view) override {}

 private:
  std::function<void()> act_;
};

// Read locally: one that sends files must be read from meanwhile, or DROP DATABASE waits for it.
class CopiedDatabasesTest : public testing::Test {
 protected:
  CopiedDatabasesTest() {
    must(cluster_.configure({{"allow_in_place_tablespaces", "on"}}));
    must(cluster_.start());
    must(cluster_.sql("CREATE TABLESPACE space LOCATION ''"));
    must(cluster_.sql("CREATE DATABASE mine STRATEGY file_copy"));
    must(cluster_.sql("CREATE TABLE t AS SELECT generate_series(1, 1000) AS i", "mine"));
    repository_.emplace(cluster_);
    repository_->start_streaming(cluster_);
  }
  Result<BackupManifest> back_up(
      const std::vector<std::pair<std::string, std::string>>& meanwhile) {
    const auto request = repository_->backup_request(cluster_);
    AtTheStart observer([&] {
      for (const auto& [database, sql] : meanwhile) must(cluster_.sql(sql, database));
    });
    return take_base_backup(repository_->store(), repository_->archive(), repository_->facts(),
                            request, repository_->clock(), observer, {});
  }
  std::size_t published() { return must(BackupCatalog(repository_->store()).list()).size(); }
  void expect_refused(const Result<BackupManifest>& backup, const std::string& why) {
    ASSERT_FALSE(backup.has_value());
    EXPECT_EQ(backup.error().kind(), ErrorKind::kTransient);
    EXPECT_THAT(backup.error().message(), HasSubstr("while the backup ran: "));
    EXPECT_THAT(backup.error().message(), HasSubstr(why));
    EXPECT_EQ(published(), 0u);
  }
  std::string rows_of(const BackupManifest& manifest, const std::string& database) {
    repository_->catch_up(cluster_);
    auto restored = start_restored(*repository_, manifest, home_.path() / "restored");
    const auto rows = must(restored.sql("SELECT count(*)::text FROM t", database))[0][0];
    must(restored.stop(StopMode::kImmediate));
    return rows;
  }

  TestCluster cluster_ = must(TestCluster::create({.wal_segment_size_mb = 1}));
  std::optional<StreamedRepository> repository_;
  TemporaryDirectory home_ = must(TemporaryDirectory::create());
};

TEST_F(CopiedDatabasesTest, OneThatWasMovedMakesTheBackupNone) {
  expect_refused(back_up({{"postgres", "ALTER DATABASE mine SET TABLESPACE space"}}),
                 "was moved to another tablespace");
  EXPECT_EQ(rows_of(must(back_up({})), "mine"), "1000");
}

TEST_F(CopiedDatabasesTest, OneWhoseOriginalChangedMakesTheBackupNone) {
  expect_refused(back_up({{"postgres", "CREATE DATABASE copy TEMPLATE mine STRATEGY file_copy"},
                          {"mine", "INSERT INTO t VALUES (0)"}}),
                 "was made by copying the one with OID");
  expect_refused(back_up({{"postgres", "CREATE DATABASE other TEMPLATE copy STRATEGY file_copy"},
                          {"postgres", "DROP DATABASE copy"}}),
                 "changed or dropped");
}

TEST_F(CopiedDatabasesTest, OneWhoseOriginalStayedIsRestored) {
  const auto manifest =
      must(back_up({{"postgres", "CREATE DATABASE copy TEMPLATE mine STRATEGY file_copy"},
                    {"copy", "DELETE FROM t WHERE i <= 400"},
                    {"postgres", "CREATE DATABASE logged TEMPLATE mine STRATEGY wal_log"},
                    {"postgres", "DROP DATABASE logged"}}));
  EXPECT_EQ(rows_of(manifest, "copy"), "600");
}

}  // namespace
}  // namespace pitr::test
