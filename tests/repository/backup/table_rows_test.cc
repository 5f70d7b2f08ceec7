// Rows survive their encoding, and no damaged frame does more than fail.
#include "repository/backup/table_rows.h"

#include <fmt/format.h>

#include <random>

#include "repository/backup/encoded_rows.h"
#include "repository/backup/table_index.h"
#include "support/must.h"

namespace pitr::backup_test {
namespace {

using test::must;

std::uint64_t new_seed() {
  const std::uint64_t seed = std::random_device()();
  fmt::print("seed {}\n", seed);
  return seed;
}

auto as_tuple(const PackedBlockRow& row) {
  return std::tuple(row.path, row.first_block, row.count, row.pack, row.plain_offset,
                    row.last_block_bytes);
}
auto as_tuple(const FileRow& row) {
  return std::tuple(row.path, row.type, row.mode, row.size_bytes, row.modified, row.link_target);
}

std::string random_path(std::mt19937_64& random) {
  static const char* const kFolders[] = {"base/1/", "base/16384/", "", "pg_tblspc/9/PG_15/",
                                         "\xff/"};
  auto path = fmt::format("{}{}", kFolders[random() % 5], random() % 1'000'000);
  if (random() % 1'000 == 0) path += std::string(random() % 4'000, 'x');
  return path;
}

std::vector<PackedBlockRow> random_block_rows(std::mt19937_64& random) {
  std::vector<PackedBlockRow> rows;
  for (int i = 0; i < 6'000; ++i) {
    const auto path = random_path(random);
    std::uint64_t block = random() % 3 == 0 ? random() % 4'000'000'000 : 0;
    for (auto left = random() % 4; left > 0; --left) {
      PackedBlockRow row{path,
                         static_cast<std::uint32_t>(block),
                         1 + static_cast<std::uint32_t>(random() % 100'000),
                         static_cast<std::uint32_t>(random() % 30'000),
                         random() % (1ull << 47),
                         kBlockSize};
      if (random() % 5 == 0)
        row.last_block_bytes = 1 + static_cast<std::uint32_t>(random() % kBlockSize);
      if (random() % 5 == 0) {
        row.pack = PackedBlockRow::kTombstone;
        row.plain_offset = 0;
        row.last_block_bytes = kBlockSize;
        if (left == 1) row.count = kToEndOfFile;
      }
      rows.push_back(row);
      block = row.end_block() + random() % 3;
    }
  }
  std::ranges::stable_sort(rows, [](const auto& a, const auto& b) { return comes_before(a, b); });
  // Paths may come twice.
  std::vector<PackedBlockRow> disjoint;
  for (const auto& row : rows) {
    if (disjoint.empty() || follows(row, disjoint.back())) disjoint.push_back(row);
  }
  return disjoint;
}

std::vector<FileRow> random_file_rows(std::mt19937_64& random) {
  std::vector<FileRow> rows;
  for (int i = 0; i < 6'000; ++i) {
    FileRow row{random_path(random),
                static_cast<FileType>(random() % 3),
                static_cast<std::uint32_t>(random() % 4'096),
                0,
                Timestamp::from_unix_us(static_cast<std::int64_t>(random())),
                ""};
    if (row.type == FileType::kFile) row.size_bytes = random() % (1ull << 40);
    if (row.type == FileType::kSymlink) row.link_target = std::string(1 + random() % 50, 't');
    rows.push_back(row);
  }
  std::ranges::sort(rows, {}, &FileRow::path);
  rows.erase(std::ranges::unique(rows, {}, &FileRow::path).begin(), rows.end());
  return rows;
}

template <typename Encoder, typename Decoder, typename Row>
void expect_same_after_encoding(const std::vector<Row>& rows) {
  auto copy = rows;
  const auto frames = must(encode_rows<Encoder>(std::move(copy)));
  EXPECT_GT(frames.size(), 1u);
  for (const auto& frame : frames) EXPECT_LE(frame.size(), kTableFrameBytes);
  RunCursor<Decoder> cursor(frames);
  for (const auto& row : rows) {
    ASSERT_TRUE(must(cursor.next()));
    ASSERT_EQ(as_tuple(cursor.row()), as_tuple(row));
  }
  EXPECT_FALSE(must(cursor.next()));
}

TEST(TableRowsTest, BlockRowsSurviveTheirEncoding) {
  std::mt19937_64 random(new_seed());
  const auto rows = random_block_rows(random);
  for (const auto& row : rows) ASSERT_TRUE(check_row(row));
  expect_same_after_encoding<BlockRowEncoder, BlockRowDecoder>(rows);
}

TEST(TableRowsTest, FileRowsSurviveTheirEncoding) {
  std::mt19937_64 random(new_seed());
  const auto rows = random_file_rows(random);
  for (const auto& row : rows) ASSERT_TRUE(check_row(row));
  expect_same_after_encoding<FileRowEncoder, FileRowDecoder>(rows);
}

TEST(TableRowsTest, ARowOfATypicalRelationIsShort) {
  std::vector<PackedBlockRow> rows;
  std::uint64_t offset = 0;
  for (std::uint32_t i = 0; i < 10'000; ++i) {
    rows.push_back(
        {fmt::format("base/16384/{}", 100'000 + i), 0, 1 + i % 100, 0, offset, kBlockSize});
    offset += rows.back().size_bytes();
  }
  std::size_t size = 0;
  const auto frames = must(encode_rows<BlockRowEncoder>(std::move(rows)));
  for (const auto& frame : frames) size += frame.size();
  EXPECT_LT(size, 100'000u);
}

// Every row that a damaged frame yields is a legal one, in order.
template <typename Decoder>
void read_damaged(ByteView frame) {
  auto decoder = Decoder::open(frame);
  if (!decoder) {
    EXPECT_EQ(decoder.error().kind(), ErrorKind::kCorrupt);
    return;
  }
  std::optional<typename Decoder::Row> last;
  while (true) {
    const auto found = decoder->next();
    if (!found) {
      EXPECT_EQ(found.error().kind(), ErrorKind::kCorrupt);
      return;
    }
    if (!*found) return;
    ASSERT_TRUE(check_row(decoder->row()));
    if (last) {
      ASSERT_TRUE(follows(decoder->row(), *last));
    }
    last = decoder->row();
  }
}

template <typename Decoder>
void damage_and_read(const EncodedRows& frames, std::mt19937_64& random) {
  for (int i = 0; i < 300; ++i) {
    Bytes frame = frames[random() % frames.size()];
    for (auto flips = 1 + random() % 4; flips > 0; --flips) {
      // The first bytes hold the sizes.
      const auto at = random() % (random() % 2 == 0 ? 20 : frame.size());
      frame[at] = static_cast<std::uint8_t>(random());
    }
    if (random() % 4 == 0) frame.resize(random() % frame.size());
    read_damaged<Decoder>(frame);
  }
}

TEST(TableRowsTest, DamagedFramesFailOrHoldLegalRows) {
  std::mt19937_64 random(new_seed());
  damage_and_read<BlockRowDecoder>(must(encode_rows<BlockRowEncoder>(random_block_rows(random))),
                                   random);
  damage_and_read<FileRowDecoder>(must(encode_rows<FileRowEncoder>(random_file_rows(random))),
                                  random);
}

TEST(TableRowsTest, RunsAreMergedInOrder) {
  std::mt19937_64 random(new_seed());
  const auto all = random_file_rows(random);
  std::vector<std::vector<FileRow>> parts(7);
  for (const auto& row : all) parts[random() % 6].push_back(row);  // the last one stays empty
  std::vector<EncodedRows> runs;
  for (auto& part : parts) {
    std::ranges::shuffle(part, random);
    runs.push_back(must(encode_rows<FileRowEncoder>(std::move(part))));
  }
  auto merge = must(RunMerge<FileRowDecoder>::open(runs));
  for (const auto& row : all) {
    ASSERT_TRUE(must(merge.next()));
    ASSERT_EQ(as_tuple(merge.row()), as_tuple(row));
  }
  EXPECT_FALSE(must(merge.next()));
  EXPECT_FALSE(must(merge.next()));
}

TEST(TableIndexTest, ComesBackAndRefusesDamage) {
  const auto a = BackupId::make(Timestamp(), 1);
  const auto b = BackupId::make(Timestamp(), 2);
  const TableIndex index{77, {{"a", 0}, {"b\xff", 4'294'967'295}}, {{b, 3}, {a, 999'999}, {b, 0}}};
  const auto encoded = encode_table_index(index);
  const auto read = must(decode_table_index(encoded));
  EXPECT_EQ(read.row_count, 77u);
  ASSERT_EQ(read.frames.size(), 2u);
  EXPECT_EQ(read.frames[1].path, "b\xff");
  EXPECT_EQ(read.frames[1].first_block, 4'294'967'295u);
  EXPECT_EQ(read.packs, index.packs);
  for (std::size_t size = 0; size < encoded.size(); ++size) {
    EXPECT_FALSE(decode_table_index(ByteView(encoded).first(size)));
  }
}

TEST(PackMapTest, ComesBackAndRefusesDamage) {
  const std::vector<Bytes> frames = {{1, 2, 3}, {}, Bytes(70'000, 1)};
  const auto encoded = encode_pack_map(frames);
  EXPECT_EQ(must(decode_pack_map(encoded)), frames);
  EXPECT_FALSE(decode_pack_map(ByteView(encoded).first(encoded.size() - 1)));
  EXPECT_EQ(decode_pack_map(Bytes{2, 0}).error().kind(), ErrorKind::kInvalid);
}

TEST(TableRowsTest, ARowWithoutAPathIsDamage) {
  // One row in which nothing is shared with the path before, and nothing follows.
  ByteWriter frame;
  frame.varint(1);
  for (const auto size : {2, 1, 1, 1, 0, 0}) frame.varint(size);
  for (const auto byte : {0, 0, 0, 1, 0}) frame.u8(static_cast<std::uint8_t>(byte));
  const auto bytes = frame.take();
  auto decoder = must(BlockRowDecoder::open(bytes));
  EXPECT_EQ(decoder.next().error().kind(), ErrorKind::kCorrupt);
}

}  // namespace
}  // namespace pitr::backup_test
