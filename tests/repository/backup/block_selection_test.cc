#include "repository/backup/block_selection.h"

#include <fmt/format.h>

#include <random>
#include <set>

#include "repository/backup/backup_fixture.h"

namespace pitr::backup_test {
namespace {

TEST(BlockSelectionTest, RunsAreExactlyTheBlocksAdded) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE(fmt::format("seed {}", seed));
  std::mt19937_64 random(seed);
  const std::vector<FileRow> files = {file_row("a", 200 * kBlockSize + 5), file_row("b", 0),
                                      file_row("c", 64 * kBlockSize), file_row("d", 1)};
  for (int round = 0; round < 200; ++round) {
    BlockSelection selection(files);
    std::vector<std::set<std::uint64_t>> added(files.size());
    for (int i = 0; i < 6; ++i) {
      const auto file = static_cast<std::uint32_t>(random() % files.size());
      const auto first = random() % 210;
      const auto count = random() % 80;
      selection.add(file, first, count);
      const auto blocks = (files[file].size_bytes + kBlockSize - 1) / kBlockSize;
      for (auto block = first; block < std::min(first + count, blocks); ++block) {
        added[file].insert(block);
      }
    }
    for (std::uint32_t file = 0; file < files.size(); ++file) {
      const auto from = random() % 100;
      const auto to = from + random() % 150;
      std::set<std::uint64_t> found;
      auto at = from;
      while (const auto run = selection.next_run(file, at, to)) {
        ASSERT_GT(run->count, 0u);
        for (std::uint64_t i = 0; i < run->count; ++i) found.insert(run->first + i);
        at = run->first + run->count;
      }
      std::set<std::uint64_t> expected;
      for (const auto block : added[file]) {
        if (block >= from && block < to) expected.insert(block);
        EXPECT_TRUE(selection.contains(file, block));
      }
      EXPECT_EQ(found, expected);
    }
  }
}

TEST(BlockSelectionTest, ContentsHoldWantedBlocksAndNoOtherFrames) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE(fmt::format("seed {}", seed));
  std::mt19937_64 random(seed);
  BackupRepository repository;
  const FileContents files = {{"big", random_content(random, 100 * kBlockSize + 77)},
                              {"small", random_content(random, 900)}};
  const auto manifest = make_backup(repository.store(), files);
  const auto rows = must(read_backup_files(repository.store(), manifest));
  ASSERT_EQ(rows.size(), 2u);
  for (int round = 0; round < 50; ++round) {
    BlockSelection wanted(rows);
    for (std::uint64_t i = 0; i < random() % 6; ++i) wanted.add(0, random() % 101, random() % 4);
    const auto contents = must(BackupContents::open(repository.store(), manifest, &wanted));
    std::set<std::uint64_t> seen;
    Bytes bytes;
    const auto pieces = must(contents->batch(0));
    for (const auto& piece : *pieces) {
      EXPECT_FALSE(piece.placements.empty());
      must(contents->read(piece, bytes));
      for (const auto& placement : piece.placements) {
        ASSERT_EQ(placement.file, 0u);
        const auto& whole = files.at("big");
        ASSERT_LE(placement.file_offset + placement.size_bytes, whole.size());
        EXPECT_TRUE(std::equal(bytes.begin() + static_cast<std::ptrdiff_t>(placement.piece_offset),
                               bytes.begin() + static_cast<std::ptrdiff_t>(placement.piece_offset +
                                                                           placement.size_bytes),
                               whole.begin() + static_cast<std::ptrdiff_t>(placement.file_offset)));
        const auto end = placement.file_offset + placement.size_bytes;
        for (auto block = placement.file_offset / kBlockSize; block * kBlockSize < end; ++block) {
          EXPECT_TRUE(wanted.contains(0, block)) << block;
          EXPECT_TRUE(seen.insert(block).second) << block;
        }
      }
    }
    for (std::uint64_t block = 0; block < wanted.block_count(0); ++block) {
      EXPECT_EQ(seen.contains(block), wanted.contains(0, block)) << block;
    }
  }
}

}  // namespace
}  // namespace pitr::backup_test
