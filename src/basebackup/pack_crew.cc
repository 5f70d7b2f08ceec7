#include "basebackup/pack_crew.h"

#include <algorithm>

namespace pitr {

static constexpr std::size_t kPiecesPerWorker = 4;

PackCrew::PackCrew(BackupWriter& writer, unsigned workers)
    : writer_(writer), queue_(std::max(workers, 1u) * kPiecesPerWorker) {
  for (unsigned i = 0; i < std::max(workers, 1u); ++i) threads_.emplace_back([this] { work(); });
}

PackCrew::~PackCrew() {
  queue_.abort(Error::cancelled("the backup was abandoned"));
}

Result<void> PackCrew::add(std::string path, std::uint32_t first_block, Bytes bytes) {
  return queue_.push({std::move(path), first_block, std::move(bytes)});
}

Result<void> PackCrew::finish() {
  queue_.close();
  threads_.clear();
  if (failure_) return *failure_;
  return {};
}

void PackCrew::work() {
  auto packed = pack_until_closed();
  if (packed) return;
  std::lock_guard lock(mutex_);
  queue_.abort(packed.error());
  if (!failure_) failure_ = std::move(packed).error();
}

Result<void> PackCrew::pack_until_closed() {
  auto pack = TRY(writer_.new_pack_writer());
  while (true) {
    const auto piece = TRY(queue_.pop());
    if (!piece) return pack->finish();
    TRY(pack->add_if_changed(piece->path, piece->first_block, piece->bytes));
  }
}

}  // namespace pitr
