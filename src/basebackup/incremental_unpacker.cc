#include "basebackup/incremental_unpacker.h"

#include <algorithm>

namespace pitr {

static constexpr std::size_t kPieceBytes = 1u << 20;

Result<void> IncrementalUnpacker::feed(ByteView bytes) {
  return with_context(reader_.feed(bytes), path_);
}

Result<std::uint64_t> IncrementalUnpacker::finish() {
  TRY(with_context(reader_.finish(), path_));
  TRY(add_zeros_up_to(file_blocks_));
  TRY(hand_over());
  return std::uint64_t{file_blocks_} * kBlockSize;
}

Result<void> IncrementalUnpacker::header(const IncrementalHeader& header) {
  file_blocks_ = header.file_blocks();
  older_blocks_ = std::min(older_blocks_, header.truncation_blocks);
  return {};
}

Result<void> IncrementalUnpacker::block(std::uint32_t number, ByteView bytes) {
  TRY(add_zeros_up_to(number));
  next_ = number + 1;
  return add(number, bytes);
}

Result<void> IncrementalUnpacker::add_zeros_up_to(std::uint32_t end) {
  static const Bytes zeros(kBlockSize);
  for (next_ = std::max(next_, std::min(older_blocks_, end)); next_ < end; ++next_) {
    TRY(add(next_, zeros));
  }
  return {};
}

Result<void> IncrementalUnpacker::add(std::uint32_t number, ByteView bytes) {
  const auto continues = piece_first_ + piece_.size() / kBlockSize == number;
  if (!continues || piece_.size() >= kPieceBytes) TRY(hand_over());
  if (piece_.empty()) piece_first_ = number;
  piece_.insert(piece_.end(), bytes.begin(), bytes.end());
  return {};
}

Result<void> IncrementalUnpacker::hand_over() {
  if (piece_.empty()) return {};
  return crew_.add(path_, piece_first_, std::exchange(piece_, {}));
}

}  // namespace pitr
