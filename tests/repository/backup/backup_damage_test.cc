// What happens to a backup's objects is noticed, and said of the right object.
#include <fmt/format.h>

#include "repository/backup/backup_fixture.h"

namespace pitr::backup_test {
namespace {

using testing::HasSubstr;

class BackupDamageTest : public testing::TestWithParam<BackupRepository::Cipher> {
 protected:
  void SetUp() override {
    BackupRun run;
    run.options.pack_size_bytes = 300'000;
    files_ = random_files(1);
    make_backup(repository_.store(), files_, run);
    manifest_ = must(catalog_.manifest(run.id));
    ASSERT_GT(manifest_->packs.size(), 3u);
  }
  Storage& storage() { return repository_.storage(); }
  const layout::Incarnation& names() { return repository_.store().names(); }
  std::uint64_t size_of(const ObjectKey& key) { return must(storage().stat(key)).size_bytes; }

  void expect_corrupt(const ObjectKey& object) {
    const auto restored = try_restore(repository_.store(), *manifest_);
    ASSERT_FALSE(restored);
    EXPECT_EQ(restored.error().kind(), ErrorKind::kCorrupt) << restored.error().message();
    EXPECT_THAT(restored.error().message(), HasSubstr(object.text()));
  }

  BackupRepository repository_{GetParam()};
  BackupCatalog catalog_{repository_.store()};
  FileContents files_;
  std::optional<BackupManifest> manifest_;
};

INSTANTIATE_TEST_SUITE_P(BothCiphers, BackupDamageTest,
                         testing::Values(BackupRepository::Cipher::kNone,
                                         BackupRepository::Cipher::kAes));

TEST_P(BackupDamageTest, AFlippedByteAnywhereInAPackIsFound) {
  const auto& key = manifest_->packs[1].key;
  const auto size = size_of(key);
  // The header in front is read only where the end is missing.
  for (const auto offset : {std::uint64_t{60}, std::uint64_t{100}, size / 3, size / 2, size - 3'000,
                            size - 200, size - 50, size - 1}) {
    SCOPED_TRACE(fmt::format("byte {} of {}", offset, size));
    flip_byte(storage(), key, offset);
    expect_corrupt(key);
    flip_byte(storage(), key, offset);
  }
  EXPECT_EQ(restore(repository_.store(), *manifest_), files_);
}

TEST_P(BackupDamageTest, DamageInAPackNamesTheFilesWithPartsThere) {
  FileContents files;
  std::mt19937_64 random(1);
  for (const auto* path : {"a", "b", "c"}) files[path] = random_content(random, 1 << 20);
  BackupRun run;
  run.id = BackupId::make(Timestamp(), 77);
  const auto manifest = make_backup(repository_.store(), files, run);
  const auto& key = manifest.packs.at(0).key;
  flip_byte(storage(), key, size_of(key) / 2);
  const auto restored = try_restore(repository_.store(), manifest);
  ASSERT_FALSE(restored);
  EXPECT_THAT(restored.error().message(), HasSubstr("(in b)"));
}

TEST_P(BackupDamageTest, AFlippedByteAnywhereInATableIsFound) {
  for (const auto& table : {manifest_->file_table, manifest_->block_tables[0].id}) {
    const auto key = names().table(table);
    const auto size = size_of(key);
    for (std::uint64_t offset = 0; offset < size; offset += 1 + size / 40) {
      SCOPED_TRACE(fmt::format("byte {} of {}", offset, size));
      flip_byte(storage(), key, offset);
      expect_corrupt(key);
      flip_byte(storage(), key, offset);
    }
  }
}

TEST_P(BackupDamageTest, AFlippedByteAnywhereInAManifestIsFound) {
  const auto key = names().backup_manifest(manifest_->id);
  const auto size = size_of(key);
  for (std::uint64_t offset = 0; offset < size; offset += 1 + size / 100) {
    flip_byte(storage(), key, offset);
    const auto read = catalog_.manifest(manifest_->id);
    ASSERT_FALSE(read) << offset;
    EXPECT_EQ(read.error().kind(), ErrorKind::kCorrupt);
    EXPECT_THAT(read.error().message(), HasSubstr(key.text()));
    EXPECT_FALSE(catalog_.manifests());
    flip_byte(storage(), key, offset);
  }
}

TEST_P(BackupDamageTest, ACutObjectIsFound) {
  for (const auto& key : {manifest_->packs[1].key, names().table(manifest_->file_table),
                          names().table(manifest_->block_tables[0].id)}) {
    const auto whole = must(storage().get(key, 1 << 30));
    for (const auto size : {std::size_t{0}, std::size_t{10}, whole.size() / 2, whole.size() - 1}) {
      truncate(storage(), key, size);
      expect_corrupt(key);
    }
    must(storage().remove(key));
    expect_corrupt(key);  // gone, though the manifest says that it is there
    must(storage().put(key, whole));
  }
}

TEST_P(BackupDamageTest, TwoPacksThatWereExchangedDoNotOpen) {
  swap_objects(storage(), manifest_->packs[0].key, manifest_->packs[1].key);
  expect_corrupt(manifest_->packs[0].key);
}

TEST_P(BackupDamageTest, TwoTablesThatWereExchangedDoNotOpen) {
  BackupRun run;
  run.id = BackupId::make(Timestamp(), 78);
  const auto other = make_backup(repository_.store(), files_, run);
  swap_objects(storage(), names().table(manifest_->block_tables[0].id),
               names().table(other.block_tables[0].id));
  expect_corrupt(names().table(manifest_->block_tables[0].id));
  swap_objects(storage(), names().table(manifest_->file_table),
               names().table(manifest_->block_tables[0].id));
  expect_corrupt(names().table(manifest_->file_table));
}

TEST_P(BackupDamageTest, TwoManifestsThatWereExchangedDoNotOpen) {
  BackupRun run;
  run.id = BackupId::make(Timestamp(), 78);
  make_backup(repository_.store(), files_, run);
  swap_objects(storage(), names().backup_manifest(manifest_->id), names().backup_manifest(run.id));
  EXPECT_EQ(catalog_.manifest(run.id).error().kind(), ErrorKind::kCorrupt);
}

TEST_P(BackupDamageTest, APackThatTheManifestDoesNotListIsNotRead) {
  manifest_->packs.pop_back();
  const auto opened = BackupContents::open(repository_.store(), *manifest_);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().kind(), ErrorKind::kCorrupt);
  EXPECT_THAT(opened.error().message(), HasSubstr("which the manifest doesn't have"));
}

TEST_P(BackupDamageTest, AMissingFileIsNoticedByItsCount) {
  manifest_->file_count += 1;
  EXPECT_EQ(BackupContents::open(repository_.store(), *manifest_).error().kind(),
            ErrorKind::kCorrupt);
}

TEST_P(BackupDamageTest, TroubleOfTheStoreIsNotCalledDamage) {
  static_cast<MemoryStorage&>(storage()).faults().add({.calls = {StorageCall::kGetRange},
                                                       .key_contains = "/pack/",
                                                       .times = Fault::kEveryTime,
                                                       .error = Error::transient("planned")});
  EXPECT_EQ(try_restore(repository_.store(), *manifest_).error().kind(), ErrorKind::kTransient);
}

TEST(BackupKeyTest, AnotherKeyOpensNothing) {
  BackupRepository repository;
  const BackupRun run;
  make_backup(repository.store(), random_files(1), run);
  const auto other = must(KeyEncryptionKey::generate());
  EXPECT_EQ(repository.open_with(other).error().kind(), ErrorKind::kDenied);
  EXPECT_EQ(repository.open_with(std::nullopt).error().kind(), ErrorKind::kDenied);

  // The objects of one repository under the key of another one.
  BackupRepository stranger;
  for (const auto& object : must(list_all(repository.storage(), "main/"))) {
    must(stranger.storage().put(object.key, must(repository.storage().get(object.key, 1 << 30))));
  }
  const auto read = BackupCatalog(stranger.store()).manifest(run.id);
  ASSERT_FALSE(read);
  EXPECT_THAT(read.error().kind(), testing::AnyOf(ErrorKind::kDenied, ErrorKind::kCorrupt));
}

}  // namespace
}  // namespace pitr::backup_test
