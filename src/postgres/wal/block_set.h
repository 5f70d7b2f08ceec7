// Block numbers of one relation, marked as WAL is decoded: a few bytes each where they are few, one
// bit each where they are many.
//
// Values only. Marking costs some nanoseconds; memory is at most 16 bytes a mark, and a bit for
// each block of the relation where most are marked.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

namespace pitr::wal {

// Blocks first, first + 1, ..., first + count - 1.
struct BlockRun {
  std::uint32_t first = 0;
  std::uint32_t count = 0;
  friend bool operator==(const BlockRun&, const BlockRun&) = default;
};

class BlockSet {
 public:
  static constexpr std::uint32_t kChunkBlocks = 65536;
  static constexpr std::uint32_t kWordBits = 64;
  // What one chunk holds: blocks key * kChunkBlocks + low. Either form, never both.
  struct Chunk {
    std::uint16_t key = 0;
    std::vector<std::uint16_t> list;  // ascending
    std::vector<std::uint64_t> bits;  // as many words as the highest block needs

    bool is_bitmap() const { return !bits.empty(); }
    std::uint32_t count() const;
    bool contains(std::uint16_t low) const;
    void add(std::uint16_t low) {
      const std::size_t word = low / kWordBits;
      if (word < bits.size()) [[likely]] {
        bits[word] |= std::uint64_t{1} << (low % kWordBits);
      } else {
        add_slowly(low);
      }
    }
    void add_run(std::uint32_t low, std::uint32_t count);
    void erase_from(std::uint32_t low);
    void merge(const Chunk& other);
    // The first marked block at or behind `low`; kChunkBlocks: none. And the first unmarked one.
    std::uint32_t next_marked(std::uint32_t low) const;
    std::uint32_t next_unmarked(std::uint32_t low) const;
    // All of them, ascending.
    std::vector<std::uint16_t> marked() const;

   private:
    void add_slowly(std::uint16_t low);
    void become_bitmap();
    void set(std::uint32_t low);
  };

  void add(std::uint32_t block) {
    chunk(static_cast<std::uint16_t>(block / kChunkBlocks))
        .add(static_cast<std::uint16_t>(block % kChunkBlocks));
  }
  void add(const BlockRun& run);
  void erase_from(std::uint32_t block);
  void merge(const BlockSet& other);

  bool empty() const { return chunks_.empty(); }
  std::uint64_t count() const;
  bool contains(std::uint32_t block) const;
  // The runs within [from, to), ascending, as long as they can be.
  std::vector<BlockRun> runs(std::uint64_t from, std::uint64_t to) const;
  const std::vector<Chunk>& chunks() const { return chunks_; }  // ascending, none empty

 private:
  Chunk& chunk(std::uint16_t key) {
    // Where nearly all chunks have marks each stands at its number; else the next mark is often
    // where the last one was.
    if (key < chunks_.size() && chunks_[key].key == key) return chunks_[key];
    if (last_ < chunks_.size() && chunks_[last_].key == key) return chunks_[last_];
    return find_or_make(key);
  }
  Chunk& find_or_make(std::uint16_t key);

  std::vector<Chunk> chunks_;
  std::size_t last_ = 0;  // the chunk that was looked for last
};

}  // namespace pitr::wal
