// A server that is set back on its timeline, as by a snapshot, while the repository holds the WAL
// of its former life.
#include <gmock/gmock.h>

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

}  // namespace
}  // namespace pitr::test
