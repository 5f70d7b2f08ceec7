#include "repository/backup/pack_readers.h"

#include <algorithm>

namespace pitr {

// A frame costs some 50 bytes of footer, so this is about 25 MiB: twenty packs of 512 MiB.
static constexpr std::uint64_t kKeptFrames = 512 << 10;

std::shared_ptr<const SealedReader> PackReaders::find(std::uint32_t pack) const {
  const std::lock_guard lock(mutex_);
  const auto found = std::ranges::find(kept_, pack, &Entry::pack);
  if (found == kept_.end()) return nullptr;
  kept_.splice(kept_.begin(), kept_, found);
  return found->reader;
}

void PackReaders::keep(std::uint32_t pack, std::shared_ptr<const SealedReader> reader) const {
  const std::lock_guard lock(mutex_);
  kept_frames_ += (*reader)->frame_count();
  kept_.push_front({pack, std::move(reader)});
  while (kept_frames_ > kKeptFrames && kept_.size() > 1) {
    kept_frames_ -= (*kept_.back().reader)->frame_count();
    kept_.pop_back();
  }
}

Result<std::shared_ptr<const SealedReader>> PackReaders::open(std::uint32_t pack) const {
  if (auto reader = find(pack)) return reader;
  // Not under the lock. Two threads may open the same pack: only a little work is done twice.
  const auto& key = packs_[pack].key;
  auto opened = SealedReader::open(store_, ContainerKind::kPack, key);
  if (!opened) {
    if (opened.error().kind() != ErrorKind::kNotFound) return std::move(opened).error();
    return Error::corrupt(key.text() + " is gone, but the backup needs it");
  }
  auto reader = std::make_shared<const SealedReader>(std::move(*opened));
  keep(pack, reader);
  return reader;
}

}  // namespace pitr
