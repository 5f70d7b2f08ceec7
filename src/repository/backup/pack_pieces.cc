#include "repository/backup/pack_pieces.h"

#include <fmt/format.h>

#include <algorithm>

namespace pitr {

// Appends pieces of frames [first, end), none of which is in a piece yet.
static void append_pieces(std::vector<PackPiece>& pieces, std::uint32_t pack_number,
                          std::uint32_t first, std::uint32_t end, const ContainerReader& pack) {
  for (auto frame = first; frame < end; ++frame) {
    const auto frame_end = pack.plain_offset(frame + 1);
    const bool joins = !pieces.empty() &&
                       pieces.back().first_frame + pieces.back().frame_count == frame &&
                       frame_end - pack.plain_offset(pieces.back().first_frame) <= kPieceBytes;
    if (!joins) pieces.push_back({pack_number, frame, 0, {}});
    ++pieces.back().frame_count;
  }
}

// Puts the extent's parts into the pieces from `first` on that hold them.
static void place(const Extent& extent, std::vector<PackPiece>& pieces, std::size_t first,
                  const ContainerReader& pack) {
  for (auto i = first; i < pieces.size(); ++i) {
    PackPiece& piece = pieces[i];
    const auto piece_start = pack.plain_offset(piece.first_frame);
    const auto piece_end = pack.plain_offset(piece.first_frame + piece.frame_count);
    const auto from = std::max(extent.pack_offset, piece_start);
    const auto to = std::min(extent.pack_end(), piece_end);
    if (from >= to) continue;
    const auto into_extent = from - extent.pack_offset;
    piece.placements.push_back(
        {extent.file, extent.file_offset + into_extent, from - piece_start, to - from});
  }
}

Result<std::vector<PackPiece>> cut_into_pieces(std::span<const Extent> extents,
                                               const ContainerReader& pack) {
  std::vector<PackPiece> pieces;
  std::uint32_t next_frame = 0;  // behind the last one in a piece
  std::size_t first_piece = 0;   // of those that later extents may still lie in
  for (const Extent& extent : extents) {
    if (extent.pack_end() > pack.plain_size_bytes()) {
      return Error::corrupt(fmt::format("bytes [{}, {}) are wanted of {}", extent.pack_offset,
                                        extent.pack_end(), pack.plain_size_bytes()));
    }
    const auto first = std::max(pack.frame_at(extent.pack_offset), next_frame);
    const auto end = pack.frame_at(extent.pack_end() - 1) + 1;
    if (first < end) append_pieces(pieces, extent.pack, first, end, pack);
    next_frame = std::max(next_frame, end);
    while (pack.plain_offset(pieces[first_piece].first_frame + pieces[first_piece].frame_count) <=
           extent.pack_offset) {
      ++first_piece;
    }
    place(extent, pieces, first_piece, pack);
  }
  return pieces;
}

}  // namespace pitr
