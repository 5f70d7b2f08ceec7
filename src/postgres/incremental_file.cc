#include "postgres/incremental_file.h"

#include <fmt/format.h>

#include <algorithm>

#include "postgres/page_checksum.h"
#include "postgres/wal/changed_blocks.h"

namespace pitr {
namespace {

constexpr std::size_t kCountsBytes = 12;
constexpr std::uint32_t kMostBlocks = wal::ChangedBlocks::kBlocksPerSegment;

Error malformed(std::string_view what) {
  return Error::corrupt(fmt::format("an incremental file of the server: {}", what));
}

std::size_t header_size(std::uint32_t count) {
  const auto bytes = kCountsBytes + std::size_t{count} * 4;
  return count == 0 ? bytes : (bytes + kPageSizeBytes - 1) / kPageSizeBytes * kPageSizeBytes;
}

// Moves bytes over until there are so many; whether there are.
bool fill(Bytes& into, std::size_t size, ByteView& from) {
  const auto part = std::min(size - into.size(), from.size());
  into.insert(into.end(), from.begin(), from.begin() + static_cast<std::ptrdiff_t>(part));
  from = from.subspan(part);
  return into.size() == size;
}

}  // namespace

Result<void> IncrementalFileReader::feed(ByteView bytes) {
  while (!bytes.empty()) {
    if (is_header_read_) {
      TRY(feed_blocks(bytes));
    } else {
      TRY(feed_header(bytes));
    }
  }
  return {};
}

Result<void> IncrementalFileReader::feed_header(ByteView& bytes) {
  if (header_bytes_ == 0) {
    if (!fill(head_, kCountsBytes, bytes)) return {};
    TRY(read_counts());
  }
  if (!fill(head_, header_bytes_, bytes)) return {};
  TRY(read_numbers());
  is_header_read_ = true;
  head_.clear();
  return sink_.header(header_);
}

Result<void> IncrementalFileReader::read_counts() {
  if (load<std::uint32_t>(head_.data()) != kMagic) return malformed("a wrong magic number");
  count_ = load<std::uint32_t>(head_.data() + 4);
  if (count_ > kMostBlocks) return malformed(fmt::format("{} blocks in one file", count_));
  // Up to January 2026 the length of a relation of several files was not cut to this one's.
  header_.truncation_blocks = std::min(load<std::uint32_t>(head_.data() + 8), kMostBlocks);
  header_bytes_ = header_size(count_);
  const auto expected = header_bytes_ + std::uint64_t{count_} * kPageSizeBytes;
  if (size_bytes_ == expected) return {};
  return malformed(fmt::format("{} bytes for {} blocks", size_bytes_, count_));
}

Result<void> IncrementalFileReader::read_numbers() {
  header_.blocks.reserve(count_);
  for (std::uint32_t i = 0; i < count_; ++i) {
    const auto number = load<std::uint32_t>(head_.data() + kCountsBytes + std::size_t{i} * 4);
    const bool is_next = header_.blocks.empty() || number > header_.blocks.back();
    if (number >= kMostBlocks || !is_next) {
      return malformed(fmt::format("block {} out of order or of the file", number));
    }
    header_.blocks.push_back(number);
  }
  const auto padding = ByteView(head_).subspan(kCountsBytes + std::size_t{count_} * 4);
  if (std::ranges::any_of(padding, [](std::uint8_t byte) { return byte != 0; })) {
    return malformed("padding that isn't zeros");
  }
  return {};
}

Result<void> IncrementalFileReader::feed_blocks(ByteView& bytes) {
  if (next_ == header_.blocks.size()) return malformed("bytes behind the last block");
  if (head_.empty() && bytes.size() >= kPageSizeBytes) {
    const auto block = bytes.first(kPageSizeBytes);
    bytes = bytes.subspan(kPageSizeBytes);
    return sink_.block(header_.blocks[next_++], block);
  }
  if (!fill(head_, kPageSizeBytes, bytes)) return {};
  TRY(sink_.block(header_.blocks[next_++], head_));
  head_.clear();
  return {};
}

Result<void> IncrementalFileReader::finish() const {
  if (is_header_read_ && head_.empty() && next_ == header_.blocks.size()) return {};
  return malformed("it ends early");
}

}  // namespace pitr
