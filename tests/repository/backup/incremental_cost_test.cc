// What long chains of incremental backups cost: layers, tables, and what a restore reads.
#include <fmt/format.h>

#include "repository/backup/incremental_fixture.h"
#include "repository/backup/move_plan.h"
#include "repository/backup/table_tiers.h"

namespace pitr::backup_test {
namespace {

std::uint64_t pack_bytes(const IncarnationStore& store, const BackupManifest& manifest) {
  std::uint64_t sum = 0;
  const auto prefix = store.names().pack_prefix(manifest.id);
  for (const auto& object : must(list_all(store.storage(), prefix))) sum += object.size_bytes;
  return sum;
}

TEST(IncrementalCostTest, AThousandScatteredIncrementalsRestoreLikeAFreshBackup) {
  const std::uint64_t seed = std::random_device()();
  fmt::print("seed {}\n", seed);
  std::mt19937_64 random(seed);
  BackupRepository repository(BackupRepository::Cipher::kNone);
  const auto& store = repository.store();
  constexpr std::uint32_t kFiles = 8, kBlocks = 128, kChanges = 6;
  ChangingFiles files(random);
  for (std::uint32_t i = 0; i < kFiles; ++i)
    files.create(fmt::format("base/5/{}", i), kBlocks * kBlockSize);

  IncrementalRun run;
  run.options.compression = Compression::kNone;
  run.options.pack_size_bytes = 1 << 20;
  run.options.map.least_table_bytes = 100;
  run.workers = 1;
  const std::uint64_t live = std::uint64_t{kFiles} * kBlocks * kBlockSize;
  std::size_t most_layers = 0, most_packs = 0;
  std::uint64_t table_bytes = 0, stored = 0, worst_read = 0;
  for (run.number = 1; run.number <= 1'001; ++run.number) {
    auto manifest = make_incremental(store, files, run);
    files.forget_changes();
    most_layers =
        std::max({most_layers, manifest.block_tables.size(), manifest.digest_tables.size()});
    most_packs = std::max(most_packs, manifest.packs.size());
    ASSERT_LE(manifest.restore_read_bytes, live * 3 / 2);
    if (run.parent) {
      const auto packs = pack_bytes(store, manifest);
      stored += packs;
      table_bytes += manifest.stored_bytes - packs;
    }
    if (run.number % 100 == 1) {
      worst_read = std::max(worst_read, bytes_read_by_restore(store, manifest));
      ASSERT_EQ(first_difference(files.contents(), restore(store, manifest)), "");
    }
    // Only this one is needed, whatever it was made from.
    if (run.number % 50 == 0) remove_unreferenced(store, {&manifest});
    run.parent = std::move(manifest);
    for (std::uint32_t i = 0; i < kChanges; ++i) {
      files.write_block(fmt::format("base/5/{}", random() % kFiles),
                        static_cast<std::uint32_t>(random() % kBlocks));
    }
  }
  std::uint64_t kept = 0;
  for (const auto& pack : run.parent->packs) kept += pack.plain_bytes;
  const double changed = 1'000.0 * kChanges * kBlockSize;
  fmt::print(
      "layers {}, packs {}, read {:.2f} x, kept {:.2f} x live, stored {:.2f} x changed, "
      "tables {} bytes a backup\n",
      most_layers, most_packs, double(worst_read) / double(live), double(kept) / double(live),
      double(stored) / changed, table_bytes / 1'000);
  EXPECT_LE(most_layers, kMostLayers);
  EXPECT_LE(worst_read, live * 3 / 2);
  EXPECT_LE(kept, 3 * live);
  EXPECT_LE(stored, 2.2 * changed);
}

TEST(IncrementalCostTest, TablesGrowWithWhatChangedAndNotWithWhatIsThere) {
  std::mt19937_64 random(1);
  BackupRepository repository;
  ChangingFiles files(random);
  for (int i = 0; i < 6'000; ++i) {
    files.create(fmt::format("base/5/{}", random() % 1'000'000), kBlockSize);
  }
  IncrementalRun run;
  run.number = 1;
  run.parent = make_incremental(repository.store(), files, run);
  EXPECT_GT(run.parent->block_tables.at(0).stored_bytes, 4 * MapOptions().least_table_bytes);
  files.forget_changes();
  for (int i = 0; i < 20; ++i) files.write_block(files.random_path(), 0);
  run.number = 2;
  const auto manifest = make_incremental(repository.store(), files, run);
  ASSERT_EQ(manifest.block_tables.size(), 2u);
  ASSERT_EQ(manifest.digest_tables.size(), 2u);
  EXPECT_LT(manifest.block_tables[0].stored_bytes + manifest.digest_tables[0].stored_bytes, 3'000u);
  EXPECT_EQ(manifest.block_tables[1], run.parent->block_tables[0]);
}

TEST(IncrementalCostTest, ABackupWithoutChangesWritesNoBlockTable) {
  std::mt19937_64 random(1);
  BackupRepository repository;
  ChangingFiles files(random);
  files.create("f", 100 * kBlockSize);
  IncrementalRun run;
  run.number = 1;
  const auto full = make_incremental(repository.store(), files, run);
  files.forget_changes();
  run.parent = full;
  run.number = 2;
  const auto same = make_incremental(repository.store(), files, run);
  EXPECT_EQ(same.block_tables, full.block_tables);
  EXPECT_EQ(same.digest_tables, full.digest_tables);
  EXPECT_EQ(same.packs.size(), full.packs.size());
  EXPECT_EQ(restore(repository.store(), same), files.contents());
}

TEST(TableTiersTest, LayersStayFewAndEachRowIsMergedALogarithmicNumberOfTimes) {
  std::mt19937_64 random(1);
  std::vector<TableInfo> tables;
  double written = 0, added = 0;
  for (int i = 0; i < 20'000; ++i) {
    const auto bytes = MapOptions().least_table_bytes + random() % 100'000;
    added += static_cast<double>(bytes);
    const auto merged = tables_to_merge(bytes, tables, MapOptions());
    std::uint64_t sum = bytes;
    for (std::size_t j = 0; j < merged; ++j) sum += tables[j].stored_bytes;
    tables.erase(tables.begin(), tables.begin() + static_cast<std::ptrdiff_t>(merged));
    tables.insert(tables.begin(), {"", sum});
    written += static_cast<double>(sum);
    ASSERT_LE(tables.size(), kMostLayers);
  }
  fmt::print("each row written {:.1f} times, {} layers\n", written / added, tables.size());
  EXPECT_LT(written / added, 25);
}

TEST(TableTiersTest, SmallTablesOnAHugeOneDoNotTouchIt) {
  std::vector<TableInfo> tables{{"", 1ull << 40}};
  for (int i = 0; i < 3'000; ++i) {
    const auto merged = tables_to_merge(100, tables, MapOptions());
    ASSERT_LT(merged, tables.size());
    std::uint64_t sum = MapOptions().least_table_bytes;
    for (std::size_t j = 0; j < merged; ++j) sum += tables[j].stored_bytes;
    tables.erase(tables.begin(), tables.begin() + static_cast<std::ptrdiff_t>(merged));
    tables.insert(tables.begin(), {"", sum});
    ASSERT_LE(tables.size(), kMostLayers);
  }
}

constexpr std::uint64_t kFrame = 65'536;

std::vector<std::uint64_t> frames(std::uint64_t count) {
  std::vector<std::uint64_t> offsets;
  for (std::uint64_t i = 0; i <= count; ++i) offsets.push_back(i * kFrame);
  return offsets;
}

TEST(MovePlanTest, TheDeadestFramesOfTheDeadestPackGoFirstWithinTheBudget) {
  // Two packs of ten frames: one block in each frame of the first, three in the second's.
  const std::vector<PackLife> packs = {{10 * kFrame, 30 * kBlockSize},
                                       {10 * kFrame, 10 * kBlockSize}};
  const auto total = 40 * kBlockSize;
  EXPECT_THAT(packs_to_look_at(packs, total, 1), testing::ElementsAre(1, 0));
  MovePlan plan(packs, total, 4 * kBlockSize);
  plan.look_at(1, frames(10));
  plan.look_at(0, frames(10));
  for (std::uint64_t i = 0; i < 10; ++i) {
    plan.count(0, i * kFrame, 3 * kBlockSize);
    plan.count(1, i * kFrame, kBlockSize);
  }
  plan.choose();
  EXPECT_TRUE(plan.first_part(1, 0, kBlockSize).moves);
  EXPECT_EQ(plan.first_part(1, 0, 10 * kFrame).size_bytes % kFrame, 0u);
  // More than the budget, because a restore would read twice what it writes.
  EXPECT_GT(plan.moved_bytes(), 4 * kBlockSize);
  EXPECT_LE(static_cast<double>(plan.read_bytes() + plan.moved_bytes()),
            kReadAlways * static_cast<double>(total));
}

TEST(MovePlanTest, PacksThatAreAliveStay) {
  const std::vector<PackLife> packs = {{10 * kFrame, 9 * kFrame}, {10 * kFrame, 10 * kFrame}};
  EXPECT_TRUE(packs_to_look_at(packs, 19 * kFrame, 1'000'000).empty());
}

TEST(MovePlanTest, APackToBeLeftLosesAllOfItsBlocksWhateverTheBudget) {
  const std::vector<PackLife> packs = {{10 * kFrame, 10 * kFrame, true}, {kFrame, kFrame}};
  EXPECT_THAT(packs_to_look_at(packs, 11 * kFrame, 0), testing::ElementsAre(0));
  MovePlan plan(packs, 11 * kFrame, 0);
  plan.look_at(0, frames(10));
  plan.count(0, 0, 10 * kFrame);
  plan.choose();
  EXPECT_EQ(plan.moved_bytes(), 10 * kFrame);
  EXPECT_EQ(plan.read_bytes(), kFrame);
  EXPECT_TRUE(plan.first_part(0, 3 * kFrame, kFrame).moves);
  EXPECT_FALSE(plan.first_part(1, 0, kFrame).moves);
}

}  // namespace
}  // namespace pitr::backup_test
