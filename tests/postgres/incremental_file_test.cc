#include "postgres/incremental_file.h"

#include <fmt/format.h>

#include "postgres/page_checksum.h"

namespace pitr {
namespace {

using testing::HasSubstr;

class RecordingSink final : public IncrementalFileSink {
 public:
  Result<void> header(const IncrementalHeader& header) override {
    ++headers;
    seen = header;
    return {};
  }
  Result<void> block(std::uint32_t number, ByteView bytes) override {
    EXPECT_EQ(bytes.size(), kPageSizeBytes);
    blocks.emplace_back(number, Bytes(bytes.begin(), bytes.end()));
    return {};
  }

  int headers = 0;
  IncrementalHeader seen;
  std::vector<std::pair<std::uint32_t, Bytes>> blocks;
};

Bytes page_of(std::uint32_t number) {
  Bytes page(kPageSizeBytes);
  for (std::size_t i = 0; i < page.size(); ++i) page[i] = static_cast<std::uint8_t>(number + i % 7);
  return page;
}

// As basebackup.c (sendFile) writes it.
Bytes incremental_file(std::uint32_t truncation, const std::vector<std::uint32_t>& blocks) {
  ByteWriter out;
  out.u32(0xD3AE1F0D);
  out.u32(static_cast<std::uint32_t>(blocks.size()));
  out.u32(truncation);
  for (const auto block : blocks) out.u32(block);
  Bytes bytes = out.take();
  if (blocks.empty()) return bytes;
  bytes.resize((bytes.size() + kPageSizeBytes - 1) / kPageSizeBytes * kPageSizeBytes);
  for (const auto block : blocks) {
    const auto page = page_of(block);
    bytes.insert(bytes.end(), page.begin(), page.end());
  }
  return bytes;
}

Result<void> read(ByteView file, RecordingSink& sink, std::size_t piece = 1 << 20) {
  IncrementalFileReader reader(file.size(), sink);
  while (!file.empty()) {
    const auto size = std::min(piece, file.size());
    TRY(reader.feed(file.first(size)));
    file = file.subspan(size);
  }
  return reader.finish();
}

std::string refusal(const Bytes& file) {
  RecordingSink sink;
  const auto result = read(file, sink);
  if (result) return "";
  EXPECT_EQ(result.error().kind(), ErrorKind::kCorrupt);
  return result.error().message();
}

TEST(IncrementalFileTest, BlocksComeInOrderHoweverTheFileIsCut) {
  std::vector<std::uint32_t> numbers;
  for (std::uint32_t i = 0; i < 3000; ++i) numbers.push_back(i * 3);  // a header of two blocks
  const auto file = incremental_file(8000, numbers);
  for (const std::size_t piece : {1u << 20, 32768u, 8192u, 8191u, 511u}) {
    RecordingSink sink;
    ASSERT_TRUE(read(file, sink, piece).has_value()) << piece;
    EXPECT_EQ(sink.headers, 1);
    EXPECT_EQ(sink.seen.truncation_blocks, 8000u);
    EXPECT_EQ(sink.seen.file_blocks(), 8998u);
    ASSERT_EQ(sink.blocks.size(), numbers.size());
    for (std::size_t i = 0; i < numbers.size(); ++i) {
      EXPECT_EQ(sink.blocks[i].first, numbers[i]);
      EXPECT_EQ(sink.blocks[i].second, page_of(numbers[i]));
    }
  }
}

TEST(IncrementalFileTest, WithoutBlocksThereIsNoPadding) {
  RecordingSink sink;
  const auto file = incremental_file(7, {});
  EXPECT_EQ(file.size(), 12u);
  ASSERT_TRUE(read(file, sink, 5).has_value());
  EXPECT_EQ(sink.headers, 1);
  EXPECT_EQ(sink.seen.file_blocks(), 7u);
  EXPECT_TRUE(sink.blocks.empty());
}

TEST(IncrementalFileTest, TheLengthIsCutToOneFile) {
  RecordingSink sink;
  ASSERT_TRUE(read(incremental_file(400'000, {131071}), sink).has_value());
  EXPECT_EQ(sink.seen.truncation_blocks, 131072u);
  EXPECT_EQ(sink.seen.file_blocks(), 131072u);
}

TEST(IncrementalFileTest, AnythingElseIsCorrupt) {
  const auto good = incremental_file(10, {2, 5});
  ASSERT_EQ(refusal(good), "");
  const auto changed = [&](std::size_t at, std::uint8_t value) {
    auto file = good;
    file[at] = value;
    return file;
  };
  EXPECT_THAT(refusal(changed(0, 0)), HasSubstr("magic"));
  EXPECT_THAT(refusal(changed(4, 1)), HasSubstr("bytes for 1 blocks"));
  EXPECT_THAT(refusal(changed(6, 255)), HasSubstr("blocks in one file"));
  EXPECT_THAT(refusal(changed(12, 5)), HasSubstr("out of order"));
  EXPECT_THAT(refusal(changed(12, 9)), HasSubstr("out of order"));
  EXPECT_THAT(refusal(changed(18, 2)), HasSubstr("out of order"));  // 131077
  EXPECT_THAT(refusal(changed(20, 1)), HasSubstr("padding"));
  EXPECT_THAT(refusal(changed(8191, 1)), HasSubstr("padding"));
  auto longer = good;
  longer.push_back(0);
  EXPECT_THAT(refusal(longer), HasSubstr("bytes for 2 blocks"));
  EXPECT_THAT(refusal(Bytes(good.begin(), good.end() - 1)), HasSubstr("bytes for 2 blocks"));
  EXPECT_THAT(refusal(Bytes(good.begin(), good.begin() + 11)), HasSubstr("ends early"));
  EXPECT_THAT(refusal({}), HasSubstr("ends early"));
}

TEST(IncrementalFileTest, AFileThatStopsOrGoesOnIsCorrupt) {
  const auto file = incremental_file(10, {2, 5});
  for (const std::size_t size : {12u, 100u, 8192u, 8200u, 24575u}) {
    RecordingSink sink;
    IncrementalFileReader reader(file.size(), sink);
    ASSERT_TRUE(reader.feed(ByteView(file).first(size)).has_value());
    EXPECT_FALSE(reader.finish().has_value()) << size;
  }
  RecordingSink sink;
  IncrementalFileReader reader(file.size(), sink);
  ASSERT_TRUE(reader.feed(file).has_value());
  EXPECT_FALSE(reader.feed(ByteView(file).first(1)).has_value());
}

}  // namespace
}  // namespace pitr
