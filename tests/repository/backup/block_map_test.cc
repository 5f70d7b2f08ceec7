// Layers of block rows against a simple model: a map from every block to its place.
#include "repository/backup/block_map.h"

#include <fmt/format.h>

#include <map>
#include <random>

#include "repository/backup/backup_fixture.h"

namespace pitr::backup_test {
namespace {

using Place = std::pair<std::uint32_t, std::uint64_t>;  // pack and offset
using Model = std::map<std::uint64_t, Place>;           // by block; a tombstone has pack kTombstone

constexpr std::uint64_t kBlocks = 200;

std::vector<PackedBlockRow> random_layer(std::mt19937_64& random, const std::string& path) {
  std::vector<PackedBlockRow> rows;
  for (std::uint64_t block = random() % 10; block < kBlocks; block += random() % 8) {
    PackedBlockRow row{
        path, static_cast<std::uint32_t>(block), 1 + static_cast<std::uint32_t>(random() % 30),
        0,    (random() % 100'000) * kBlockSize, kBlockSize};
    if (random() % 4 == 0) {
      row.pack = PackedBlockRow::kTombstone;
      if (random() % 4 == 0) row.count = kToEndOfFile;
    } else {
      row.pack = static_cast<std::uint32_t>(random() % 5);
    }
    rows.push_back(row);
    block = row.end_block();
  }
  return rows;
}

Model model_of(const std::vector<PackedBlockRow>& rows) {
  Model model;
  for (const auto& row : rows) {
    for (std::uint64_t block = row.first_block; block < std::min(row.end_block(), 2 * kBlocks);
         ++block) {
      const auto offset = row.plain_offset + (block - row.first_block) * kBlockSize;
      const bool tombstone = row.pack == PackedBlockRow::kTombstone;
      EXPECT_TRUE(model.emplace(block, Place(row.pack, tombstone ? 0 : offset)).second) << block;
    }
  }
  return model;
}

TEST(BlockMapTest, NewerLayersHideOlderOnes) {
  const std::uint64_t seed = std::random_device()();
  fmt::print("seed {}\n", seed);
  std::mt19937_64 random(seed);
  for (int round = 0; round < 300; ++round) {
    std::vector<PackedBlockRow> visible;
    Model model;
    for (int layer = 0; layer < 4; ++layer) {
      const auto older = random_layer(random, "f");
      visible = overlay(visible, older);
      model.merge(model_of(older));  // keeps what is there
      ASSERT_EQ(model_of(visible), model);
      for (std::size_t i = 1; i < visible.size(); ++i)
        ASSERT_TRUE(follows(visible[i], visible[i - 1]));
      for (const auto& row : visible) ASSERT_TRUE(check_row(row));
    }
  }
}

TEST(BlockMapTest, OnlyTheEndOfARowKeepsItsShortBlock) {
  const PackedBlockRow older{"f", 0, 10, 0, 0, 100};
  const PackedBlockRow newer{"f", 4, 1, 1, 0, kBlockSize};
  const auto rows = overlay({&newer, 1}, {&older, 1});
  ASSERT_EQ(rows.size(), 3u);
  EXPECT_EQ(rows[0].last_block_bytes, kBlockSize);
  EXPECT_EQ(rows[2].last_block_bytes, 100u);
  EXPECT_EQ(rows[2].plain_offset, 5u * kBlockSize);
  EXPECT_EQ(rows[2].count, 5u);
}

// Whole backups of several layers, made of the tables and packs of full ones.

class LayeredBackupTest : public testing::Test {
 protected:
  // Stores a file's blocks in a pack of their own backup and tells where they are.
  BlockRow stored(const std::string& path, std::uint32_t first_block, const Bytes& content) {
    BackupRun run;
    run.id = BackupId::make(Timestamp(), ++backups_);
    const auto manifest = make_backup(repository_.store(), {{path, content}}, run);
    packs_.push_back(manifest.packs.at(0));
    const auto blocks = (content.size() + kBlockSize - 1) / kBlockSize;
    BlockRow row{path, first_block, static_cast<std::uint32_t>(blocks), PackRef{run.id, 0},
                 0,    kBlockSize};
    row.last_block_bytes = static_cast<std::uint32_t>(content.size() - (blocks - 1) * kBlockSize);
    return row;
  }
  static BlockRow tombstone(const std::string& path, std::uint32_t first_block) {
    return {path, first_block, kToEndOfFile, std::nullopt, 0, kBlockSize};
  }
  Bytes blocks(std::size_t count) { return random_content(random_, count * kBlockSize); }
  // Layers newest first.
  Result<FileContents> restore_layers(const std::map<std::string, std::uint64_t>& sizes,
                                      const std::vector<std::vector<BlockRow>>& layers) {
    const auto& store = repository_.store();
    auto manifest = manifest_of(store, BackupId::make(Timestamp(), 1'000));
    const auto files = must(FileTableWriter::create(store));
    for (const auto& [path, size] : sizes) {
      must(files->add(file_row(path, size)));
      manifest.total_bytes += size;
    }
    manifest.file_count = sizes.size();
    manifest.file_table = must(files->finish());
    for (const auto& layer : layers) {
      const auto table = must(BlockTableWriter::create(store));
      for (const auto& row : layer) must(table->add(row));
      manifest.block_tables.push_back({must(table->finish())});
    }
    manifest.packs = packs_;
    return try_restore(store, manifest);
  }
  void expect_corrupt(const Result<FileContents>& result, std::string_view message) {
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().kind(), ErrorKind::kCorrupt);
    EXPECT_THAT(result.error().message(), testing::HasSubstr(message));
  }

  BackupRepository repository_;
  std::mt19937_64 random_{1};
  std::uint64_t backups_ = 0;
  std::vector<PackInfo> packs_;
};

Bytes join(std::initializer_list<ByteView> parts) {
  Bytes joined;
  for (const auto part : parts) joined.insert(joined.end(), part.begin(), part.end());
  return joined;
}

TEST_F(LayeredBackupTest, ChangedBlocksComeFromTheNewestLayer) {
  const auto old_bytes = blocks(10), new_bytes = blocks(2), newest = blocks(1);
  const auto restored = must(restore_layers(
      {{"f", 10 * kBlockSize}},
      {{stored("f", 4, newest)}, {stored("f", 3, new_bytes)}, {stored("f", 0, old_bytes)}}));
  const ByteView old_view = old_bytes;
  EXPECT_EQ(restored.at("f"),
            join({old_view.first(3 * kBlockSize), ByteView(new_bytes).first(kBlockSize), newest,
                  old_view.subspan(5 * kBlockSize)}));
}

TEST_F(LayeredBackupTest, AFileThatWasCutAndGrewAgainHasNoOldBlocks) {
  const auto old_bytes = blocks(10), new_bytes = blocks(3);
  auto grown = stored("f", 2, new_bytes);
  const auto restored =
      must(restore_layers({{"f", 5 * kBlockSize}, {"g", 0}},
                          {{grown, tombstone("f", 5)}, {stored("f", 0, old_bytes)}}));
  EXPECT_EQ(restored.at("f"), join({ByteView(old_bytes).first(2 * kBlockSize), new_bytes}));
}

TEST_F(LayeredBackupTest, ARemovedFileIsGone) {
  const auto restored =
      must(restore_layers({{"g", kBlockSize}}, {{tombstone("f", 0), stored("g", 0, blocks(1))},
                                                {stored("f", 0, blocks(2))}}));
  EXPECT_EQ(restored.size(), 1u);
}

TEST_F(LayeredBackupTest, ARemovedFileWithoutTombstoneIsDamage) {
  const auto f = stored("f", 0, blocks(2)), g = stored("g", 0, blocks(1)),
             h = stored("h", 0, blocks(1));
  expect_corrupt(restore_layers({{"g", kBlockSize}, {"h", kBlockSize}}, {{g, h}, {f}}),
                 "blocks of f, but no such file");
  expect_corrupt(restore_layers({{"f", 2 * kBlockSize}, {"g", kBlockSize}}, {{f, g, h}}),
                 "blocks of h, but no such file");
}

TEST_F(LayeredBackupTest, HolesAreNamed) {
  const auto low = stored("f", 0, blocks(3)), high = stored("f", 5, blocks(2));
  expect_corrupt(restore_layers({{"f", 7 * kBlockSize}}, {{low, high}}),
                 "f: block 3 of 7 has no place");
  expect_corrupt(restore_layers({{"f", 8 * kBlockSize}}, {{low}, {high}}), "f: block 3 of 8");
  expect_corrupt(
      restore_layers({{"f", 8 * kBlockSize}}, {{stored("f", 3, blocks(2)), high}, {low}}),
      "f: block 7 of 8");
  expect_corrupt(restore_layers({{"f", kBlockSize}}, {}), "f: block 0 of 1 has no place");
  expect_corrupt(restore_layers({{"f", 7 * kBlockSize}}, {{tombstone("f", 2)}, {low, high}}),
                 "f: block 2 of 7 has no place");
}

TEST_F(LayeredBackupTest, ASizeThatDoesNotBelongToTheBlocksIsDamage) {
  const auto row = stored("f", 0, random_content(random_, 20'000));
  EXPECT_TRUE(restore_layers({{"f", 20'000}}, {{row}}));
  expect_corrupt(restore_layers({{"f", 19'999}}, {{row}}),
                 "f has 19999 bytes, but there are blocks");
  expect_corrupt(restore_layers({{"f", 20'001}}, {{row}}), "f: block 2 of 3 has no place");
  expect_corrupt(restore_layers({{"f", 4 * kBlockSize}}, {{row, stored("f", 3, blocks(1))}}),
                 "f: block 2 of 4 has no place");
}

TEST_F(LayeredBackupTest, ARowBeyondThePackIsDamage) {
  auto row = stored("f", 0, blocks(2));
  row.plain_offset = 1;
  expect_corrupt(restore_layers({{"f", 2 * kBlockSize}}, {{row}}), packs_.back().key.text());
}

TEST_F(LayeredBackupTest, RowsOutOfOrderAreNotWritten) {
  const auto table = must(BlockTableWriter::create(repository_.store()));
  const auto row = stored("f", 5, blocks(2));
  must(table->add(row));
  for (const auto& [path, block] : {std::pair("f", 6), std::pair("f", 0), std::pair("e", 9)}) {
    auto wrong = row;
    wrong.path = path;
    wrong.first_block = static_cast<std::uint32_t>(block);
    EXPECT_EQ(table->add(wrong).error().kind(), ErrorKind::kInvalid);
  }
}

TEST_F(LayeredBackupTest, BigTablesOfManyFramesAreReadInOrder) {
  const auto& store = repository_.store();
  const auto table = must(BlockTableWriter::create(store));
  const PackRef pack{BackupId::make(Timestamp(), 5), 3};
  constexpr std::uint32_t kRows = 200'000;
  for (std::uint32_t i = 0; i < kRows; ++i) {
    must(table->add({fmt::format("base/{:05}", i / 7), i % 7 * 10, 3, pack, i * 7ull, kBlockSize}));
  }
  const auto id = must(table->finish());
  std::uint32_t next = 0;
  must(read_block_table(store, id, [&](const BlockRow& row) -> Result<void> {
    EXPECT_EQ(row.path, fmt::format("base/{:05}", next / 7));
    EXPECT_EQ(row.first_block, next % 7 * 10);
    EXPECT_EQ(row.plain_offset, next * 7ull);
    EXPECT_EQ(row.pack, pack);
    ++next;
    return {};
  }));
  EXPECT_EQ(next, kRows);
  EXPECT_EQ(read_block_table(store, "../x", {}).error().kind(), ErrorKind::kInvalid);
}

}  // namespace
}  // namespace pitr::backup_test
