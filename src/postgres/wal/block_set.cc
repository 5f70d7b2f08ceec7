#include "postgres/wal/block_set.h"

#include <algorithm>
#include <bit>

namespace pitr::wal {
namespace {

constexpr std::size_t kLongestList = 256;
constexpr std::uint32_t kWordBits = BlockSet::kWordBits;
constexpr std::uint32_t kChunkWords = BlockSet::kChunkBlocks / kWordBits;

}  // namespace

std::uint32_t BlockSet::Chunk::count() const {
  if (!is_bitmap()) return static_cast<std::uint32_t>(list.size());
  std::uint32_t count = 0;
  for (const auto word : bits) count += static_cast<std::uint32_t>(std::popcount(word));
  return count;
}

bool BlockSet::Chunk::contains(std::uint16_t low) const {
  if (!is_bitmap()) return std::ranges::binary_search(list, low);
  const std::size_t word = low / kWordBits;
  return word < bits.size() && ((bits[word] >> (low % kWordBits)) & 1) != 0;
}

void BlockSet::Chunk::set(std::uint32_t low) {
  const std::size_t word = low / kWordBits;
  if (word >= bits.size()) bits.resize(word + 1);
  bits[word] |= std::uint64_t{1} << (low % kWordBits);
}

void BlockSet::Chunk::become_bitmap() {
  const auto marked = std::move(list);
  list = {};
  bits.reserve(kChunkWords);
  bits.resize(marked.empty() ? 1 : marked.back() / kWordBits + 1);
  for (const auto low : marked) set(low);
}

void BlockSet::Chunk::add_slowly(std::uint16_t low) {
  if (is_bitmap()) return set(low);
  if (list.empty() || list.back() < low) {
    list.push_back(low);
  } else if (list.back() != low) {
    const auto at = std::ranges::lower_bound(list, low);
    if (*at == low) return;
    list.insert(at, low);
  }
  if (list.size() > kLongestList) become_bitmap();
}

void BlockSet::Chunk::add_run(std::uint32_t low, std::uint32_t count) {
  if (!is_bitmap() && count > kLongestList / 8) become_bitmap();
  if (!is_bitmap()) {
    for (std::uint32_t i = 0; i < count; ++i) add(static_cast<std::uint16_t>(low + i));
    return;
  }
  const std::uint32_t end = low + count;
  set(end - 1);
  for (; low < end; low = (low / kWordBits + 1) * kWordBits) {
    const std::uint32_t word_end = std::min(end, (low / kWordBits + 1) * kWordBits);
    const std::uint64_t ones = ~std::uint64_t{0} >> (kWordBits - (word_end - low));
    bits[low / kWordBits] |= ones << (low % kWordBits);
  }
}

void BlockSet::Chunk::erase_from(std::uint32_t low) {
  if (!is_bitmap()) {
    list.erase(std::ranges::lower_bound(list, low), list.end());
    return;
  }
  const std::size_t word = low / kWordBits;
  if (word >= bits.size()) return;
  bits.resize(word + 1);
  bits[word] &= (std::uint64_t{1} << (low % kWordBits)) - 1;
  while (!bits.empty() && bits.back() == 0) bits.pop_back();
}

void BlockSet::Chunk::merge(const Chunk& other) {
  if (!other.is_bitmap()) {
    for (const auto low : other.list) add(low);
    return;
  }
  if (!is_bitmap()) become_bitmap();
  if (bits.size() < other.bits.size()) bits.resize(other.bits.size());
  for (std::size_t i = 0; i < other.bits.size(); ++i) bits[i] |= other.bits[i];
}

std::uint32_t BlockSet::Chunk::next_marked(std::uint32_t low) const {
  if (!is_bitmap()) {
    const auto at = std::ranges::lower_bound(list, low);
    return at == list.end() ? kChunkBlocks : *at;
  }
  for (std::size_t word = low / kWordBits; word < bits.size(); ++word) {
    std::uint64_t rest = bits[word];
    if (word == low / kWordBits) rest &= ~std::uint64_t{0} << (low % kWordBits);
    if (rest != 0) {
      return static_cast<std::uint32_t>(word) * kWordBits +
             static_cast<std::uint32_t>(std::countr_zero(rest));
    }
  }
  return kChunkBlocks;
}

std::uint32_t BlockSet::Chunk::next_unmarked(std::uint32_t low) const {
  if (!is_bitmap()) {
    for (auto at = std::ranges::lower_bound(list, low); at != list.end() && *at == low; ++at) ++low;
    return low;
  }
  for (std::size_t word = low / kWordBits; word < bits.size(); ++word) {
    std::uint64_t rest = ~bits[word];
    if (word == low / kWordBits) rest &= ~std::uint64_t{0} << (low % kWordBits);
    if (rest != 0) {
      return static_cast<std::uint32_t>(word) * kWordBits +
             static_cast<std::uint32_t>(std::countr_zero(rest));
    }
  }
  return std::max(low, static_cast<std::uint32_t>(bits.size()) * kWordBits);
}

std::vector<std::uint16_t> BlockSet::Chunk::marked() const {
  if (!is_bitmap()) return list;
  std::vector<std::uint16_t> marked;
  for (std::size_t word = 0; word < bits.size(); ++word) {
    for (auto rest = bits[word]; rest != 0; rest &= rest - 1) {
      const auto bit = static_cast<std::size_t>(std::countr_zero(rest));
      marked.push_back(static_cast<std::uint16_t>(word * kWordBits + bit));
    }
  }
  return marked;
}

BlockSet::Chunk& BlockSet::find_or_make(std::uint16_t key) {
  auto at = std::ranges::lower_bound(chunks_, key, {}, &Chunk::key);
  if (at == chunks_.end() || at->key != key) {
    at = chunks_.insert(at, Chunk());
    at->key = key;
  }
  last_ = static_cast<std::size_t>(at - chunks_.begin());
  return *at;
}

void BlockSet::add(const BlockRun& run) {
  std::uint64_t from = run.first;
  const std::uint64_t end = from + run.count;
  while (from < end) {
    const std::uint64_t chunk_end = (from / kChunkBlocks + 1) * kChunkBlocks;
    const auto count = static_cast<std::uint32_t>(std::min(end, chunk_end) - from);
    chunk(static_cast<std::uint16_t>(from / kChunkBlocks))
        .add_run(static_cast<std::uint32_t>(from % kChunkBlocks), count);
    from += count;
  }
}

void BlockSet::erase_from(std::uint32_t block) {
  const auto key = static_cast<std::uint16_t>(block / kChunkBlocks);
  auto at = std::ranges::lower_bound(chunks_, key, {}, &Chunk::key);
  if (at != chunks_.end() && at->key == key) {
    at->erase_from(block % kChunkBlocks);
    if (at->list.empty() && at->bits.empty()) {
      chunks_.erase(at, chunks_.end());
      return;
    }
    ++at;
  }
  chunks_.erase(at, chunks_.end());
}

void BlockSet::merge(const BlockSet& other) {
  for (const auto& from : other.chunks_) chunk(from.key).merge(from);
}

std::uint64_t BlockSet::count() const {
  std::uint64_t count = 0;
  for (const auto& chunk : chunks_) count += chunk.count();
  return count;
}

bool BlockSet::contains(std::uint32_t block) const {
  const auto key = static_cast<std::uint16_t>(block / kChunkBlocks);
  const auto at = std::ranges::lower_bound(chunks_, key, {}, &Chunk::key);
  return at != chunks_.end() && at->key == key &&
         at->contains(static_cast<std::uint16_t>(block % kChunkBlocks));
}

std::vector<BlockRun> BlockSet::runs(std::uint64_t from, std::uint64_t to) const {
  std::vector<BlockRun> runs;
  const auto first_key = from / kChunkBlocks;
  for (auto chunk = std::ranges::lower_bound(chunks_, first_key, {}, &Chunk::key);
       chunk != chunks_.end(); ++chunk) {
    const std::uint64_t base = std::uint64_t{chunk->key} * kChunkBlocks;
    if (base >= to) break;
    std::uint32_t low = from > base ? static_cast<std::uint32_t>(from - base) : 0;
    while (low < kChunkBlocks) {
      low = chunk->next_marked(low);
      if (low == kChunkBlocks || base + low >= to) break;
      const auto end = std::min<std::uint64_t>(base + chunk->next_unmarked(low), to);
      const auto first = static_cast<std::uint32_t>(base + low);
      const auto count = static_cast<std::uint32_t>(end - first);
      if (!runs.empty() && std::uint64_t{runs.back().first} + runs.back().count == first) {
        runs.back().count += count;
      } else {
        runs.push_back({first, count});
      }
      low = static_cast<std::uint32_t>(end - base);
    }
  }
  return runs;
}

}  // namespace pitr::wal
