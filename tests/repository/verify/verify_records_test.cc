#include "repository/verify/verify_records.h"

#include <fmt/format.h>

#include "repository/expire/stored_state.h"
#include "repository/verify/verify_fixture.h"

namespace pitr::test {
namespace {

using backup_test::FileContents;
using backup_test::try_restore;
using testing::HasSubstr;

class VerifyRecordsTest : public ::testing::Test {
 protected:
  const IncarnationStore& store() { return repository.store(); }
  void damage(const ObjectKey& key) {
    auto bytes = must(repository.memory().get(key, 1 << 30));
    // In every frame: not all of them are needed by each backup.
    for (std::size_t at = 100; at < bytes.size(); at += 5'000) bytes[at] ^= 1;
    repository.put_back(key, bytes);
  }
  std::set<std::string> damaged() {
    std::set<std::string> names;
    for (const auto& one : must(damaged_packs(store()))) names.insert(one.pack.text());
    return names;
  }
  bool is_verified(const BackupId& id) {
    const auto state = must(read_stored_state(store(), Timestamp(), {}));
    for (const auto& backup : state.published) {
      if (backup.manifest.id == id) return backup.is_verified;
    }
    return false;
  }
  // As incremental backups do whose files are all read and compared; nothing changed.
  BackupManifest next_backup(const BackupManifest& parent, std::vector<ObjectKey> leave_packs) {
    const auto files = VerifiedRepository::files(1);
    BackupIntent intent{.id = BackupId::make(parent.start_time + std::chrono::hours(9), 3)};
    intent.start_lsn = parent.start_lsn;
    intent.parent = parent.id;
    const auto writer = must(
        BackupWriter::start(store(), intent, {}, ParentBackup{parent, std::move(leave_packs)}));
    const auto packs = must(writer->new_pack_writer());
    for (const auto& [path, content] : files) {
      stored_bytes += must(packs->add_if_changed(path, 0, content));
      writer->add_file(backup_test::file_row(path, content.size()), Keep::kRest);
    }
    must(packs->finish());
    auto manifest = backup_test::manifest_of(store(), intent.id);
    manifest.start_lsn = parent.start_lsn;
    manifest.stop_lsn = parent.stop_lsn;
    manifest = must(writer->store_manifest(std::move(manifest)));
    must(writer->publish(manifest));
    return manifest;
  }

  VerifiedRepository repository;
  std::uint64_t stored_bytes = 0;
};

TEST_F(VerifyRecordsTest, GoodBackupsAreVerifiedByAFullRunAlone) {
  const auto id = repository.first().id;
  EXPECT_FALSE(is_verified(id));
  repository.verify(VerifyDepth::kQuick);
  EXPECT_FALSE(is_verified(id));
  repository.verify(VerifyDepth::kFull, {.record = false});
  EXPECT_FALSE(is_verified(id));
  EXPECT_FALSE(must(last_verification(store(), id)));
  repository.verify(VerifyDepth::kFull);
  EXPECT_TRUE(is_verified(id));
  const auto first = must(last_verification(store(), id));
  ASSERT_TRUE(first);
  EXPECT_GT(first->objects, 5u);
  repository.verify(VerifyDepth::kFull);
  EXPECT_GT(must(last_verification(store(), id))->time, first->time);
  const auto prefix = store().names().backup_verified_prefix(id);
  EXPECT_EQ(must(list_all(repository.memory(), prefix)).size(), 1u);
}

TEST_F(VerifyRecordsTest, ADamagedBackupIsVerifiedNoMore) {
  repository.verify(VerifyDepth::kFull);
  damage(repository.second().packs.back().key);
  repository.verify(VerifyDepth::kQuick);
  EXPECT_TRUE(is_verified(repository.first().id));
  EXPECT_FALSE(is_verified(repository.second().id));
}

TEST_F(VerifyRecordsTest, ABackupThatIsDroppedMeanwhileGetsNoRecord) {
  const auto& id = repository.second().id;
  must(repository.memory().remove(store().names().backup_json(id)));
  must(put_verification(store(), id, {Timestamp(), 1}));
  EXPECT_TRUE(
      must(list_all(repository.memory(), store().names().backup_verified_prefix(id))).empty());
}

TEST_F(VerifyRecordsTest, DamagedPacksAreRecordedUntilTheyAreRight) {
  const auto pack = repository.first().packs.front().key;
  const auto before = must(repository.memory().get(pack, 1 << 30));
  damage(pack);
  repository.verify(VerifyDepth::kQuick);
  EXPECT_EQ(damaged(), std::set{pack.text()});
  EXPECT_THAT(must(damaged_packs(store())).front().problem, HasSubstr("damaged"));
  repository.put_back(pack, before);
  repository.verify(VerifyDepth::kQuick);
  EXPECT_TRUE(damaged().empty());
  must(repository.memory().remove(pack));
  repository.verify(VerifyDepth::kQuick);
  EXPECT_EQ(damaged(), std::set{pack.text()});
}

TEST_F(VerifyRecordsTest, TroubleRecordsNothing) {
  const auto pack = repository.first().packs.front().key;
  repository.memory().faults().add({.calls = {StorageCall::kGetRange},
                                    .key_contains = pack.text(),
                                    .times = Fault::kEveryTime,
                                    .error = Error::transient("the storage is busy")});
  repository.verify(VerifyDepth::kFull);
  EXPECT_TRUE(damaged().empty());
  EXPECT_FALSE(is_verified(repository.first().id));
}

class DamagedPackTest : public VerifyRecordsTest, public testing::WithParamInterface<bool> {};
INSTANTIATE_TEST_SUITE_P(How, DamagedPackTest, testing::Bool(), [](const auto& is_missing) {
  return is_missing.param ? "Missing" : "Damaged";
});

TEST_P(DamagedPackTest, TheNextBackupStoresTheBlocksAgain) {
  const auto pack = repository.second().packs.front().key;
  if (GetParam()) {
    must(repository.memory().remove(pack));
  } else {
    damage(pack);
  }
  const auto report = repository.verify(VerifyDepth::kFull);
  EXPECT_TRUE(report.found_damage());
  std::vector<ObjectKey> leave;
  for (const auto& one : must(damaged_packs(store()))) leave.push_back(one.pack);
  ASSERT_EQ(leave, std::vector{pack});

  const auto parent = repository.second();
  const auto next = next_backup(parent, leave);
  EXPECT_GT(stored_bytes, 0u);
  EXPECT_LT(stored_bytes, next.total_bytes);
  for (const auto& kept : next.packs) EXPECT_NE(kept.key, pack);
  EXPECT_EQ(must(try_restore(store(), next)), VerifiedRepository::files(1));
  const auto old = try_restore(store(), parent);
  ASSERT_FALSE(old.has_value());
  EXPECT_EQ(old.error().kind(), ErrorKind::kCorrupt);
  EXPECT_THAT(old.error().message(), HasSubstr(pack.text()));

  const auto after = repository.verify(VerifyDepth::kFull);
  EXPECT_EQ(after.backups.back().id, next.id);
  EXPECT_EQ(after.backups.back().verdict, BackupVerdict::kGood);
  EXPECT_TRUE(is_verified(next.id));
  EXPECT_FALSE(is_verified(parent.id));
}

}  // namespace
}  // namespace pitr::test
