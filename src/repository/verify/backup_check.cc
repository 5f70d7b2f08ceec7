#include "repository/verify/backup_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>

#include "repository/backup/block_digests.h"
#include "repository/backup/pack_pieces.h"
#include "repository/verify/parallel.h"

namespace pitr {

bool ComparedFrames::has(const ObjectKey& pack, const PackPiece& piece) const {
  const auto found = packs_.find(pack);
  if (found == packs_.end() || found->second.size() < piece.first_frame + piece.frame_count) {
    return false;
  }
  for (std::uint32_t i = 0; i < piece.frame_count; ++i) {
    if (!found->second[piece.first_frame + i]) return false;
  }
  return true;
}

void ComparedFrames::add(const ObjectKey& pack, const PackPiece& piece) {
  auto& frames = packs_[pack];
  const std::size_t end = piece.first_frame + piece.frame_count;
  if (frames.size() < end) frames.resize(end);
  for (auto i = std::size_t{piece.first_frame}; i < end; ++i) frames[i] = true;
}

namespace {

class BlockCheck {
 public:
  BlockCheck(const BackupManifest& manifest, const BackupContents& contents,
             const BlockDigests& digests, ReadMeter& meter, ComparedFrames& compared)
      : manifest_(manifest),
        contents_(contents),
        digests_(digests),
        meter_(meter),
        compared_(compared) {}

  Result<void> run(unsigned workers);

 private:
  // True: the backup has every byte of it, and a digest for each block.
  Result<bool> check_piece(const PackPiece& piece) const;
  // True: it has a digest for each block.
  Result<bool> check_placement(const PackPiece::Placement& placement, ByteView bytes,
                               BlockDigests& digests) const;

  const BackupManifest& manifest_;
  const BackupContents& contents_;
  const BlockDigests& digests_;
  ReadMeter& meter_;
  ComparedFrames& compared_;
};

Result<void> BlockCheck::run(unsigned workers) {
  for (std::size_t number = 0; number < contents_.batch_count(); ++number) {
    const auto pieces = TRY(contents_.batch(number));
    std::vector<const PackPiece*> wanted;
    for (const auto& piece : *pieces) {
      if (!compared_.has(manifest_.packs[piece.pack].key, piece)) wanted.push_back(&piece);
    }
    std::vector<Result<bool>> results(wanted.size(), false);
    std::atomic<bool> failed = false;
    work_in_parallel(wanted.size(), workers, [&](std::size_t i) {
      if (failed) return;
      results[i] = check_piece(*wanted[i]);
      if (!results[i]) failed = true;
    });
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      const bool is_whole = TRY(std::move(results[i]));
      if (is_whole) compared_.add(manifest_.packs[wanted[i]->pack].key, *wanted[i]);
    }
  }
  return {};
}

Result<bool> BlockCheck::check_piece(const PackPiece& piece) const {
  Bytes bytes;
  TRY(meter_.take(kPieceBytes));
  TRY(contents_.read(piece, bytes));
  auto digests = digests_.share();
  std::uint64_t placed_bytes = 0;
  bool is_known = true;
  for (const auto& placement : piece.placements) {
    if (placement.piece_offset + placement.size_bytes > bytes.size()) {
      return Error::corrupt("the map asks for more than its pack has");
    }
    const auto part = ByteView(bytes).subspan(placement.piece_offset, placement.size_bytes);
    is_known &= TRY(check_placement(placement, part, digests));
    placed_bytes += placement.size_bytes;
  }
  return is_known && placed_bytes == bytes.size();
}

Result<bool> BlockCheck::check_placement(const PackPiece::Placement& placement, ByteView bytes,
                                         BlockDigests& digests) const {
  if (!digests.any() || placement.file_offset % kBlockSize != 0) return false;
  const auto& path = contents_.files()[placement.file].path;
  const auto first = static_cast<std::uint32_t>(placement.file_offset / kBlockSize);
  std::vector<std::uint64_t> expected((bytes.size() + kBlockSize - 1) / kBlockSize);
  TRY(digests.find(path, first, expected));
  bool is_known = true;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const auto block = bytes.subspan(i * kBlockSize);
    const auto digest =
        digests.hasher().digest(block.first(std::min(block.size(), std::size_t{kBlockSize})));
    if (expected[i] == BlockDigests::kUnknown) {
      is_known = false;
      continue;
    }
    if (expected[i] == digest) continue;
    return Error::corrupt(fmt::format(
        "block {} of {} is not the one that the backup's digests tell of", first + i, path));
  }
  return is_known;
}

}  // namespace

Result<void> check_backup_blocks(const IncarnationStore& store, const BackupManifest& manifest,
                                 unsigned workers, ReadMeter& meter, ComparedFrames& compared) {
  const auto contents = TRY(BackupContents::open(store, manifest));
  const auto digests = TRY(BlockDigests::open(store, manifest));
  return with_context(BlockCheck(manifest, *contents, digests, meter, compared).run(workers),
                      "backup " + manifest.id.text());
}

}  // namespace pitr
