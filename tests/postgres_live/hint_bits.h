// Takes out of a page what a server may change without WAL where hint bits aren't logged: what is
// left must be the same on two pages if no WAL names the block in between. Follows PostgreSQL's own
// comparison of pages for wal_consistency_checking: src/backend/access/common/bufmask.c, and
// heap_mask, btree_mask, gist_mask and hash_mask (13 to 18). No thread shares the page.
#pragma once

#include "common/bytes.h"

namespace pitr::test {

namespace page {
// storage/bufpage.h
inline constexpr std::size_t kChecksum = 8, kFlags = 10, kLower = 12, kSpecial = 16, kPruneXid = 20,
                             kItems = 24, kSize = 8192;
inline constexpr std::uint16_t kHasFreeLinesOrIsFull = 0x0003;
// access/htup_details.h: xmin and xmax committed or invalid
inline constexpr std::size_t kInfomask = 20;
inline constexpr std::uint16_t kHintsOfRow = 0x0F00;
// Of an index page, in its last four bytes (nbtree.h, gist.h, hash.h)
inline constexpr std::uint16_t kIdOfGist = 0xFF81, kIdOfHash = 0xFF80, kMostCycleIds = 0xFF7F;
}  // namespace page

// Whether the page holds rows of a table: only pages of indexes and sequences have a special part.
inline bool is_heap_page(ByteView bytes) {
  return load<std::uint16_t>(bytes.data() + page::kSpecial) == page::kSize;
}

inline void clear_bits(MutableByteView bytes, std::size_t at, std::uint16_t bits) {
  bytes[at] &= static_cast<std::uint8_t>(~bits);
  bytes[at + 1] &= static_cast<std::uint8_t>(~(bits >> 8));
}

// "There are dead entries", a hint as well.
inline void clear_garbage_flag(MutableByteView bytes) {
  const auto special = load<std::uint16_t>(bytes.data() + page::kSpecial);
  if (special != page::kSize - 16) return;
  const auto id = load<std::uint16_t>(bytes.data() + page::kSize - 2);
  const std::uint16_t flag = id == page::kIdOfGist       ? 0x10
                             : id == page::kIdOfHash     ? 0x80
                             : id <= page::kMostCycleIds ? 0x40
                                                         : 0;
  clear_bits(bytes, special + 12, flag);
}

inline void clear_hint_bits(MutableByteView bytes) {
  std::fill_n(bytes.begin() + page::kChecksum, 2, 0);
  std::fill_n(bytes.begin() + page::kPruneXid, 4, 0);
  clear_bits(bytes, page::kFlags, page::kHasFreeLinesOrIsFull);
  const bool is_heap = is_heap_page(bytes);
  if (!is_heap) clear_garbage_flag(bytes);
  const auto lower = load<std::uint16_t>(bytes.data() + page::kLower);
  if (lower > page::kSize) return;  // not a page of this form
  for (std::size_t item = page::kItems; item + 4 <= lower; item += 4) {
    const auto pointer = load<std::uint32_t>(bytes.data() + item);  // offset 15, flags 2, length 15
    const std::size_t offset = pointer & 0x7FFF, length = pointer >> 17;
    if (!is_heap) {
      // Flags: an index entry may be marked as dead.
      bytes[item + 1] &= 0x7F;
      bytes[item + 2] &= 0xFE;
    } else if (length > page::kInfomask + 2 && offset + length <= page::kSize) {
      clear_bits(bytes, offset + page::kInfomask, page::kHintsOfRow);
    }
  }
}

}  // namespace pitr::test
