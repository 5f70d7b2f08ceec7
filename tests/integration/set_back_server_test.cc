// A server that is set back on its timeline, as by a snapshot, while the repository holds the WAL
// of its former life.
#include <gmock/gmock.h>

#include "basebackup/backup_wal.h"
#include "repository/backup/backup_reader.h"
#include "support/streamed_repository.h"

namespace pitr::test {
namespace {

using testing::HasSubstr;

class SetBackServerTest : public testing::Test {
 protected:
  SetBackServerTest() {
    must(cluster_.start());
    repository_.emplace(cluster_);
    repository_->start_streaming(cluster_);
    must(cluster_.sql("CREATE TABLE t(i int)"));
  }
  void copy(const Path& from, const Path& to) {
    must(cluster_.stop());
    std::filesystem::remove_all(to);
    std::filesystem::copy(from, to, std::filesystem::copy_options::recursive);
    std::filesystem::permissions(to, std::filesystem::perms::owner_all);
    must(cluster_.start());
  }
  void live_on() {
    must(cluster_.sql("INSERT INTO t SELECT generate_series(1, 30000); SELECT pg_switch_wal()"));
    must(cluster_.sql("INSERT INTO t SELECT generate_series(1, 30000); SELECT pg_switch_wal()"));
  }
  std::size_t published() { return must(BackupCatalog(repository_->store()).list()).size(); }

  TestCluster cluster_ = must(TestCluster::create({.wal_segment_size_mb = 1}));
  TemporaryDirectory home_ = must(TemporaryDirectory::create());
  std::optional<StreamedRepository> repository_;
};

TEST_F(SetBackServerTest, ItsBackupIsNotPublishedOnTheWalOfItsFormerLife) {
  must(repository_->take_backup(repository_->backup_request(cluster_)));
  copy(cluster_.data_directory(), home_ / "snapshot");
  live_on();
  live_on();
  repository_->catch_up(cluster_);
  repository_->stop_streaming();
  copy(home_ / "snapshot", cluster_.data_directory());
  must(cluster_.sql("INSERT INTO t VALUES (0)"));
  for (const bool full : {false, true}) {
    auto request = repository_->backup_request(cluster_);
    if (full) request.read = ReadRequest::kIndependent;
    const auto backup = repository_->take_backup(request);
    ASSERT_FALSE(backup.has_value());
    EXPECT_EQ(backup.error().kind(), ErrorKind::kConflict) << backup.error().message();
    EXPECT_THAT(backup.error().message(), HasSubstr("is not that of this server"));
  }
  EXPECT_EQ(published(), 1u);
}

// By archive_timeout, or another tool's backup: nothing but zeros follows in that segment.
TEST_F(SetBackServerTest, ASegmentThatWasSwitchedRightBehindTheCheckpointLacksNothing) {
  auto session = must(Connection::open(cluster_.conninfo()));
  const auto lsn = [&](const std::string& sql) {
    const auto rows = must(session.query("SELECT (" + sql + ")::pg_lsn AS lsn"));
    return must(must(rows.only_row()).lsn("lsn"));
  };
  BackupWal wal;
  wal.start = lsn("SELECT pg_backup_start('by hand', true)");
  wal.checkpoint = lsn("SELECT checkpoint_lsn FROM pg_control_checkpoint()");
  must(session.command("SELECT pg_switch_wal()"));
  must(session.command("INSERT INTO t VALUES (0)"));
  wal.stop = lsn("SELECT lsn FROM pg_backup_stop(false)");
  repository_->catch_up(cluster_);
  const auto history = TimelineHistory::without_ancestors(TimelineId(1));
  const auto is_its = [&](const BackupWal& backup) {
    return check_backup_wal(repository_->archive(), history, backup).has_value();
  };
  EXPECT_TRUE(is_its(wal));
  wal.start = wal.start + 8;
  EXPECT_FALSE(is_its(wal));
}

}  // namespace
}  // namespace pitr::test
