#include "basebackup/reading_plan.h"

#include <random>

namespace pitr {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr std::uint64_t kBlock = kBlockSize;
constexpr wal::RelationId kTable{1663, 5, 16384};

WalkedFile file_of(std::uint64_t size_bytes, std::optional<wal::RelationId> main_fork = kTable,
                   std::uint32_t segment = 0) {
  WalkedFile file;
  file.row.path = "base/5/16384";
  file.row.size_bytes = size_bytes;
  file.main_fork = main_fork;
  file.segment = segment;
  file.first_block_in_fork = segment * wal::ChangedBlocks::kBlocksPerSegment;
  return file;
}

FileReading by_wal(const WalkedFile& file, std::optional<std::uint64_t> parent_size,
                   const wal::ChangedBlocks& changed) {
  return how_to_read(file, BackupReading::kChangedBlocks, parent_size, changed);
}

ByteRange blocks(std::uint64_t first, std::uint64_t count) {
  return {first * kBlock, count * kBlock};
}

TEST(HowToReadTest, NothingOfAnUnchangedRelation) {
  const auto reading = by_wal(file_of(10 * kBlock), 10 * kBlock, {});
  EXPECT_EQ(reading.keep, Keep::kRest);
  EXPECT_THAT(reading.ranges, IsEmpty());
}

TEST(HowToReadTest, MarkedBlocksWithinTheFileAndAllBehindTheParentsEnd) {
  wal::ChangedBlocks changed;
  changed.mark(kTable, wal::BlockRun{2, 2});
  changed.mark(kTable, 7);
  changed.mark(kTable, 30);
  const auto reading = by_wal(file_of(12 * kBlock), 10 * kBlock, changed);
  EXPECT_EQ(reading.keep, Keep::kRest);
  EXPECT_FALSE(reading.only_changed);
  EXPECT_THAT(reading.ranges, ElementsAre(blocks(2, 2), blocks(7, 1), blocks(10, 2)));
}

TEST(HowToReadTest, AMarkThatReachesBehindTheParentsEndIsOneRange) {
  wal::ChangedBlocks changed;
  changed.mark(kTable, wal::BlockRun{8, 4});
  EXPECT_THAT(by_wal(file_of(20 * kBlock), 10 * kBlock, changed).ranges,
              ElementsAre(blocks(8, 12)));
}

TEST(HowToReadTest, AShrunkFileIsNotReadBehindItsEnd) {
  wal::ChangedBlocks changed;
  changed.limit(kTable, 4);
  EXPECT_THAT(by_wal(file_of(6 * kBlock), 10 * kBlock, changed).ranges, ElementsAre(blocks(4, 2)));
  EXPECT_THAT(by_wal(file_of(3 * kBlock), 10 * kBlock, changed).ranges, IsEmpty());
}

TEST(HowToReadTest, AShortLastBlockOfTheParentIsReadAgain) {
  EXPECT_THAT(by_wal(file_of(12 * kBlock), 10 * kBlock + 100, {}).ranges,
              ElementsAre(blocks(10, 2)));
}

TEST(HowToReadTest, LaterSegmentsCountTheirOwnBlocks) {
  wal::ChangedBlocks changed;
  changed.mark(kTable, 3);
  changed.mark(kTable, wal::ChangedBlocks::kBlocksPerSegment + 5);
  EXPECT_THAT(by_wal(file_of(10 * kBlock, kTable, 1), 10 * kBlock, changed).ranges,
              ElementsAre(blocks(5, 1)));
}

TEST(HowToReadTest, WholeFilesAreComparedWithTheParents) {
  wal::ChangedBlocks changed;
  changed.limit(kTable, 0);
  wal::ChangedBlocks database;
  database.rewrite_database(1663, 5);
  const auto size = 3 * kBlock;
  const std::pair<const char*, FileReading> cases[] = {
      {"created or truncated", by_wal(file_of(size), size, changed)},
      {"in a rewritten database", by_wal(file_of(size), size, database)},
      {"not a main fork", by_wal(file_of(size, std::nullopt), size, {})},
      {"everything is compared", how_to_read(file_of(size), BackupReading::kCompared, size, {})},
  };
  for (const auto& [name, reading] : cases) {
    SCOPED_TRACE(name);
    EXPECT_EQ(reading.keep, Keep::kRest);
    EXPECT_TRUE(reading.only_changed);
    EXPECT_THAT(reading.ranges, ElementsAre(blocks(0, 3)));
  }
  const auto odd = by_wal(file_of(2 * kBlock + 17), 2 * kBlock, {});
  EXPECT_TRUE(odd.only_changed);
  EXPECT_THAT(odd.ranges, ElementsAre(ByteRange{0, 2 * kBlock + 17}));
}

TEST(HowToReadTest, WithoutTheFileInTheParentAllOfItIsStored) {
  for (const auto& reading :
       {by_wal(file_of(kBlock), std::nullopt, {}),
        how_to_read(file_of(kBlock), BackupReading::kEverything, kBlock, {}),
        how_to_read(file_of(kBlock), BackupReading::kCompared, std::nullopt, {})}) {
    EXPECT_EQ(reading.keep, Keep::kNothing);
    EXPECT_FALSE(reading.only_changed);
    EXPECT_THAT(reading.ranges, ElementsAre(blocks(0, 1)));
  }
}

TEST(ReadingPlanTest, LargeFilesAreCutAndLargeTasksComeFirst) {
  WalkedDirectory walked;
  walked.files = {file_of(0), file_of(kBlock), file_of(150u << 20)};
  const auto plan = plan_reading(walked, {});
  EXPECT_EQ(plan.total_bytes, kBlock + (150u << 20));
  EXPECT_THAT(plan.unread, ElementsAre(0));
  ASSERT_EQ(plan.tasks.size(), 4u);
  for (std::size_t i = 0; i < 4; ++i) {
    const auto& task = plan.tasks[i];
    EXPECT_EQ(task.file, i < 3 ? 2u : 1u);
    EXPECT_EQ(task.is_first, i == 0 || i == 3);
    EXPECT_EQ(task.is_last, i >= 2);
  }
  EXPECT_THAT(ranges_of(plan.tasks[1], walked.files[2], {}),
              ElementsAre(ByteRange{64u << 20, 64u << 20}));
}

TEST(ReadingPlanTest, TheTasksOfAFileReadAllOfItsRangesOnce) {
  BackupBasis basis;
  basis.reading = BackupReading::kChangedBlocks;
  const std::uint64_t file_blocks = 40'000;
  for (std::uint32_t block = 3; block < file_blocks; block += 2) {
    basis.changed.mark(kTable, block);
  }
  WalkedDirectory walked;
  walked.files = {file_of(file_blocks * kBlock)};
  walked.files[0].older_size_bytes = file_blocks * kBlock;
  const auto plan = plan_reading(walked, basis);
  EXPECT_GT(plan.tasks.size(), 2u);
  std::vector<ByteRange> all;
  std::uint64_t size_bytes = 0;
  for (const auto& task : plan.tasks) {
    for (const auto& range : ranges_of(task, walked.files[0], basis)) {
      all.push_back(range);
      size_bytes += range.size_bytes;
    }
  }
  EXPECT_EQ(size_bytes, plan.total_bytes);
  std::ranges::sort(all, {}, &ByteRange::offset);
  EXPECT_EQ(
      all, how_to_read(walked.files[0], basis.reading, file_blocks * kBlock, basis.changed).ranges);
}

TEST(ReadCutterTest, SmallGapsAreReadAlong) {
  const std::vector<ByteRange> ranges = {{0, 10}, {15, 5}, {40, 100}, {140, 1}};
  ReadCutter cutter(ranges, /*read_bytes=*/64, /*gap_bytes=*/5);
  ASSERT_TRUE(cutter.next());
  EXPECT_EQ(cutter.read(), (ByteRange{0, 20}));
  EXPECT_THAT(cutter.pieces(), ElementsAre(ByteRange{0, 10}, ByteRange{15, 5}));
  ASSERT_TRUE(cutter.next());
  EXPECT_EQ(cutter.read(), (ByteRange{40, 64}));
  ASSERT_TRUE(cutter.next());
  EXPECT_EQ(cutter.read(), (ByteRange{104, 37}));
  EXPECT_THAT(cutter.pieces(), ElementsAre(ByteRange{104, 36}, ByteRange{140, 1}));
  EXPECT_FALSE(cutter.next());
}

TEST(ReadCutterTest, EveryByteIsReadOnceWhateverTheRanges) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937_64 random(seed);
  for (int round = 0; round < 200; ++round) {
    std::vector<ByteRange> ranges;
    std::uint64_t at = 0;
    for (int i = 0; i < 20; ++i) {
      at += random() % 30;
      const auto size = 1 + random() % 90;
      ranges.push_back({at, size});
      at += size;
    }
    std::vector<bool> wanted(at), read(at);
    for (const auto& range : ranges) {
      for (auto i = range.offset; i < range.end(); ++i) wanted[i] = true;
    }
    ReadCutter cutter(ranges, 64, random() % 20);
    while (cutter.next()) {
      ASSERT_LE(cutter.read().size_bytes, 64u);
      for (const auto& piece : cutter.pieces()) {
        ASSERT_GE(piece.offset, cutter.read().offset);
        ASSERT_LE(piece.end(), cutter.read().end());
        for (auto i = piece.offset; i < piece.end(); ++i) {
          ASSERT_FALSE(read[i]);
          read[i] = true;
        }
      }
    }
    ASSERT_EQ(read, wanted);
  }
}

}  // namespace
}  // namespace pitr
