// How a restore is cut into work: extents of files, inverted into pieces in pack order.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "codec/container.h"
#include "repository/backup/backup_reader.h"

namespace pitr {

// Small enough to stay in a core's cache between decoding and writing: with 8 MiB a restore takes
// half as long again.
inline constexpr std::uint64_t kPieceBytes = 1 << 20;

// Bytes of a file that lie together in a pack.
struct Extent {
  std::uint32_t file = 0;
  std::uint32_t pack = 0;
  std::uint64_t pack_offset = 0;
  std::uint64_t file_offset = 0;
  std::uint64_t size_bytes = 0;

  std::uint64_t pack_end() const { return pack_offset + size_bytes; }
};

// The pieces that hold these extents, which lie in one pack and ascend by offset. Frames that no
// extent needs are left out. kCorrupt: an extent reaches over the pack's end.
Result<std::vector<PackPiece>> cut_into_pieces(std::span<const Extent> extents,
                                               const ContainerReader& pack);

}  // namespace pitr
