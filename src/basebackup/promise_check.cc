#include "basebackup/promise_check.h"

#include <algorithm>

#include "postgres/page_checksum.h"

namespace pitr {

void PromiseFindings::add(BrokenPromise broken) {
  const std::lock_guard lock(mutex_);
  if (broken_.size() < kMostKept) {
    broken_.push_back(std::move(broken));
  } else {
    ++not_kept_;
  }
}

std::vector<BrokenPromise> PromiseFindings::take() {
  const std::lock_guard lock(mutex_);
  return std::move(broken_);
}

std::uint64_t PromiseFindings::not_kept() const {
  const std::lock_guard lock(mutex_);
  return not_kept_;
}

// The first page of an SP-GiST index remembers pages with free space, and is written without WAL
// (src/backend/access/spgist/spgutils.c, SpGistUpdateMetaPage). Such indexes' pages end in an id.
static bool is_spgist_meta_page(std::uint32_t block_in_fork, ByteView page) {
  constexpr std::uint16_t kSpgistPageId = 0xFF82;
  return block_in_fork == 0 &&
         load<std::uint16_t>(page.data() + kPageSizeBytes - sizeof kSpgistPageId) == kSpgistPageId;
}

bool PromiseChecker::is_explained(const wal::RelationId& relation, std::uint32_t block,
                                  ByteView page) const {
  return page_lsn(page) >= start_ || changed_.contains(relation, block) ||
         is_spgist_meta_page(block, page);
}

Result<void> PromiseChecker::check(const WalkedFile& file, std::uint32_t first_block,
                                   ByteView bytes) {
  if (!file.main_fork || !file.older_size_bytes) return {};
  const auto known = static_cast<std::uint32_t>(*file.older_size_bytes / kBlockSize);
  if (first_block >= known) return {};
  const auto count = std::min<std::size_t>(bytes.size() / kBlockSize, known - first_block);
  digests_.resize(count);
  TRY(older_.find(file.row.path, first_block, digests_));
  std::uint64_t checked = 0;
  for (std::size_t i = 0; i < count; ++i) {
    if (digests_[i] == BlockDigests::kUnknown) continue;
    const auto block = first_block + static_cast<std::uint32_t>(i);
    const auto in_fork = file.first_block_in_fork + block;
    const auto page = bytes.subspan(i * kBlockSize, kBlockSize);
    if (older_.hasher().digest(page) == digests_[i]) {
      if (!changed_.contains(*file.main_fork, in_fork)) ++checked;
    } else if (!is_explained(*file.main_fork, in_fork, page)) {
      ++checked;
      findings_.add({*file.main_fork, in_fork, {file.row.path, block}});
    }
  }
  findings_.add_checked(checked);
  return {};
}

}  // namespace pitr
