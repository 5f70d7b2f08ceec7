// Damage in a pack, from the byte that flips to the server that runs on the backup after: verified,
// named, stored again from the database by the next incremental backup.
#include "repository/verify/verify.h"

#include <fmt/format.h>

#include <thread>

#include "agent/reports/known_damage.h"
#include "repository/backup/backup_reader.h"
#include "repository/verify/verify_records.h"
#include "support/amcheck.h"
#include "support/restore_program.h"
#include "support/restored_backup.h"

namespace pitr::test {
namespace {

using testing::HasSubstr;

class VerifyDamageTest : public testing::TestWithParam<BackupMethod> {
 protected:
  VerifyDamageTest() : home_(must(TemporaryDirectory::create())) {
    cluster_.emplace(must(TestCluster::create({.settings = {{"autovacuum", "off"}}})));
    must(cluster_->start());
    must(
        cluster_->sql("CREATE TABLE t(id int PRIMARY KEY, n int NOT NULL, filler text);"
                      "INSERT INTO t SELECT i, 0, repeat(md5(i::text), 6) "
                      "FROM generate_series(1, 20000) i; VACUUM (FREEZE, ANALYZE) t; CHECKPOINT"));
    repository_.emplace(*cluster_);
    register_cluster(*repository_);
    repository_->start_streaming(*cluster_);
  }
  BackupManifest back_up() {
    // Ids of the same second are in no order.
    std::this_thread::sleep_for(std::chrono::milliseconds(1'050));
    auto request = repository_->backup_request(*cluster_);
    if (GetParam() == BackupMethod::kRemote) request.data_directory.reset();
    return must(repository_->take_backup(request));
  }
  VerifyReport verify(VerifyDepth depth) {
    VerifyOptions options;
    options.depth = depth;
    NullObserver observer;
    return must(verify_cluster(repository_->store().repository(), "main", options, observer,
                               repository_->clock(), {}));
  }
  static std::string sum(TestCluster& cluster) {
    return must(cluster.sql_value("SELECT count(*) || ' ' || sum(hashtext(t::text)) FROM t"));
  }

  TemporaryDirectory home_;
  std::optional<TestCluster> cluster_;
  std::optional<StreamedRepository> repository_;
};

INSTANTIATE_TEST_SUITE_P(Ways, VerifyDamageTest,
                         testing::Values(BackupMethod::kLocal, BackupMethod::kRemote),
                         [](const auto& way) {
                           return way.param == BackupMethod::kLocal ? "Local" : "Remote";
                         });

TEST_P(VerifyDamageTest, TheNextIncrementalStoresWhatWasInADamagedPack) {
  const auto full = back_up();
  must(cluster_->sql("UPDATE t SET n = 1 WHERE id <= 200; CHECKPOINT"));
  const auto old = back_up();
  const auto clean = verify(VerifyDepth::kFull);
  for (const auto& finding : clean.findings) ADD_FAILURE() << finding.problem.message();
  ASSERT_EQ(clean.backups.size(), 2u);
  for (const auto& backup : clean.backups) EXPECT_EQ(backup.verdict, BackupVerdict::kGood);

  const auto pack = full.packs.front().key;
  auto& storage = repository_->storage();
  auto bytes = must(storage.get(pack, 1 << 30));
  for (std::size_t at = 1000; at < bytes.size(); at += 20'000) bytes[at] ^= 1;
  must(storage.remove(pack));
  must(storage.put(pack, bytes));
  const auto found = verify(VerifyDepth::kQuick);
  ASSERT_EQ(found.findings.size(), 1u);
  EXPECT_EQ(found.findings.front().object, pack.text());
  EXPECT_EQ(found.findings.front().backups, (std::vector{full.id, old.id}));

  const auto unit = pack.text().substr(repository_->store().names().prefix().size());
  const auto known = must(known_damage(repository_->store()));
  EXPECT_EQ(known, std::vector{unit});
  EXPECT_EQ(damage_of(old, repository_->store(), known), std::vector{unit});

  must(cluster_->sql("UPDATE t SET n = 2 WHERE id BETWEEN 300 AND 400; CHECKPOINT"));
  const auto next = back_up();
  EXPECT_EQ(next.parent, old.id);
  const bool is_local = GetParam() == BackupMethod::kLocal;
  if (is_local) EXPECT_EQ(next.reading, BackupReading::kChangedBlocks) << next.reading_reason;
  for (const auto& kept : next.packs) EXPECT_NE(kept.key, pack);
  repository_->catch_up(*cluster_);
  repository_->stop_streaming();
  {
    auto restored = start_restored(*repository_, next, home_ / "next");
    EXPECT_EQ(sum(restored), sum(*cluster_));
    check_with_amcheck(restored);
  }
  const auto contents = BackupContents::open(repository_->store(), old);
  const auto read_all = [&]() -> Result<void> {
    if (!contents) return contents.error();
    return for_each_piece(**contents, [&](const PackPiece& piece) -> Result<void> {
      Bytes into;
      return (*contents)->read(piece, into);
    });
  }();
  ASSERT_FALSE(read_all.has_value());
  EXPECT_EQ(read_all.error().kind(), ErrorKind::kCorrupt);
  EXPECT_THAT(read_all.error().message(), HasSubstr(pack.text()));

  const auto after = verify(VerifyDepth::kFull);
  EXPECT_EQ(after.backups.at(0).verdict, BackupVerdict::kDamaged);
  EXPECT_EQ(after.backups.at(1).verdict, BackupVerdict::kDamaged);
  EXPECT_EQ(after.backups.at(2).verdict, BackupVerdict::kGood);
  const auto still_known = must(known_damage(repository_->store()));
  EXPECT_EQ(damage_of(old, repository_->store(), still_known), std::vector{unit});
  EXPECT_TRUE(damage_of(next, repository_->store(), still_known).empty());
  EXPECT_TRUE(must(last_verification(repository_->store(), next.id)));
  EXPECT_FALSE(must(last_verification(repository_->store(), old.id)));
}

}  // namespace
}  // namespace pitr::test
