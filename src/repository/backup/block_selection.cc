#include "repository/backup/block_selection.h"

#include <algorithm>
#include <bit>

namespace pitr {

static constexpr std::uint64_t kWordBits = 64;

BlockSelection::BlockSelection(std::span<const FileRow> files) {
  std::uint64_t words = 0;
  for (const auto& file : files) {
    const auto size = file.type == FileType::kFile ? file.size_bytes : 0;
    const auto blocks = (size + kBlockSize - 1) / kBlockSize;
    first_words_.push_back(words);
    block_counts_.push_back(static_cast<std::uint32_t>(blocks));
    words += (blocks + kWordBits - 1) / kWordBits;
  }
  words_.resize(words);
}

void BlockSelection::add(std::uint32_t file, std::uint64_t first_block, std::uint64_t count) {
  const auto end = std::min<std::uint64_t>(first_block + count, block_counts_[file]);
  const auto base = first_words_[file];
  for (auto block = first_block; block < end;) {
    const auto bit = block % kWordBits;
    const auto taken = std::min(kWordBits - bit, end - block);
    const auto ones = taken == kWordBits ? ~std::uint64_t{0} : (std::uint64_t{1} << taken) - 1;
    words_[base + block / kWordBits] |= ones << bit;
    block += taken;
  }
}

bool BlockSelection::contains(std::uint32_t file, std::uint64_t block) const {
  if (block >= block_counts_[file]) return false;
  return (words_[first_words_[file] + block / kWordBits] >> (block % kWordBits) & 1) != 0;
}

std::optional<BlockSelection::Run> BlockSelection::next_run(std::uint32_t file, std::uint64_t from,
                                                            std::uint64_t to) const {
  to = std::min<std::uint64_t>(to, block_counts_[file]);
  const auto base = first_words_[file];
  // The first block from `block` on whose bit, xored with `flip`, is set; or `to`.
  const auto find = [&](std::uint64_t block, std::uint64_t flip) {
    while (block < to) {
      const auto rest = (words_[base + block / kWordBits] ^ flip) >> (block % kWordBits);
      if (rest != 0) {
        return std::min(to, block + static_cast<std::uint64_t>(std::countr_zero(rest)));
      }
      block = (block / kWordBits + 1) * kWordBits;
    }
    return to;
  };
  const auto first = find(from, 0);
  if (first >= to) return std::nullopt;
  return Run{first, find(first, ~std::uint64_t{0}) - first};
}

}  // namespace pitr
