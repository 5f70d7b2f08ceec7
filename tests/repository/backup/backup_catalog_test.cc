// Only published backups exist.
#include "repository/backup/backup_fixture.h"

namespace pitr::backup_test {
namespace {

class BackupCatalogTest : public testing::Test {
 protected:
  static BackupRun run(std::uint64_t number, bool publish = true) {
    BackupRun run;
    const auto start = static_cast<std::int64_t>(number % 10) * 1'000'000;
    run.id = BackupId::make(Timestamp::from_unix_us(start), number);
    run.publish = publish;
    return run;
  }
  const FileContents files_ = {{"PG_VERSION", {'1', '5', '\n'}}};
  BackupRepository repository_;
  const BackupCatalog catalog_{repository_.store()};
};

TEST_F(BackupCatalogTest, ListsPublishedBackupsOldestFirst) {
  for (const auto number : {13, 21, 92}) make_backup(repository_.store(), files_, run(number));
  EXPECT_EQ(must(catalog_.list()), (std::vector{run(21).id, run(92).id, run(13).id}));
  const auto manifests = must(catalog_.manifests());
  ASSERT_EQ(manifests.size(), 3u);
  EXPECT_EQ(manifests[0].id, run(21).id);
  EXPECT_TRUE(must(catalog_.unfinished()).empty());
}

TEST_F(BackupCatalogTest, AnEmptyRepositoryHasNoBackups) {
  EXPECT_TRUE(must(catalog_.list()).empty());
  EXPECT_TRUE(must(catalog_.unfinished()).empty());
  EXPECT_EQ(catalog_.manifest(run(1).id).error().kind(), ErrorKind::kNotFound);
}

TEST_F(BackupCatalogTest, ABackupWithoutBackupJsonDoesNotExist) {
  make_backup(repository_.store(), files_, run(1, /*publish=*/false));
  EXPECT_TRUE(must(catalog_.list()).empty());
  EXPECT_EQ(must(catalog_.unfinished()), std::vector{run(1).id});
  EXPECT_EQ(catalog_.manifest(run(1).id).error().kind(), ErrorKind::kNotFound);
}

TEST_F(BackupCatalogTest, AWriterThatIsDestroyedLeavesNothingVisible) {
  {
    const auto writer = start_backup(repository_.store(), run(1));
    const auto packs = must(writer->new_pack_writer());
    must(packs->add("f", 0, Bytes(100'000)));
  }
  EXPECT_TRUE(must(catalog_.list()).empty());
  EXPECT_EQ(must(catalog_.unfinished()), std::vector{run(1).id});
  EXPECT_TRUE(must(list_all(repository_.storage(), "main/7301234567890123456-15/pack/")).empty());
}

TEST_F(BackupCatalogTest, TheIntentIsDurableBeforeAnythingIsRead) {
  const auto writer = start_backup(repository_.store(), run(1));
  static_cast<MemoryStorage&>(repository_.storage()).power_loss();
  const auto key = repository_.store().names().backup_intent(run(1).id);
  const auto intent =
      must(decode_intent(must(repository_.store().get_sealed(ContainerKind::kIntent, key))));
  EXPECT_EQ(intent.id, run(1).id);
  EXPECT_EQ(intent.host, "db1");
  EXPECT_EQ(intent.start_lsn, Lsn(0x2000028));
}

TEST_F(BackupCatalogTest, APublishedBackupSurvivesPowerLoss) {
  make_backup(repository_.store(), files_, run(1));
  static_cast<MemoryStorage&>(repository_.storage()).power_loss();
  EXPECT_EQ(restore(repository_.store(), must(catalog_.manifest(run(1).id))), files_);
}

TEST_F(BackupCatalogTest, AManifestThatIsGoneIsDamageNotAbsence) {
  make_backup(repository_.store(), files_, run(1));
  must(repository_.storage().remove(repository_.store().names().backup_manifest(run(1).id)));
  EXPECT_EQ(catalog_.manifest(run(1).id).error().kind(), ErrorKind::kCorrupt);
  EXPECT_EQ(catalog_.manifests().error().kind(), ErrorKind::kCorrupt);
}

TEST_F(BackupCatalogTest, ABackupIdIsTakenOnce) {
  make_backup(repository_.store(), files_, run(1));
  const BackupIntent intent{run(1).id, "db2", {}, {}, {}};
  EXPECT_EQ(BackupWriter::start(repository_.store(), intent, {}).error().kind(),
            ErrorKind::kConflict);
}

TEST_F(BackupCatalogTest, AFailedUploadEndsTheBackup) {
  const auto writer = start_backup(repository_.store(), run(1));
  const auto packs = must(writer->new_pack_writer());
  static_cast<MemoryStorage&>(repository_.storage())
      .faults()
      .add({.calls = {StorageCall::kUploadCommit}, .error = Error::transient("planned")});
  must(packs->add("f", 0, Bytes(100)));
  writer->add_file(file_row("f", 100));
  EXPECT_FALSE(packs->finish());
  EXPECT_FALSE(packs->finish());  // it stays dead
  EXPECT_FALSE(packs->add("g", 0, Bytes(100)));
  EXPECT_FALSE(writer->store_manifest(manifest_of(repository_.store(), run(1).id)));
}

}  // namespace
}  // namespace pitr::backup_test
