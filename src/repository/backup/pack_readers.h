// Opened packs of one backup: their footers stay in memory, the ones used last, up to a bound.
// Thread-safe; the IncarnationStore's repository must outlive it.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <vector>

#include "repository/backup/backup_manifest.h"
#include "repository/sealed_object.h"

namespace pitr {

class PackReaders {
 public:
  PackReaders(IncarnationStore store, std::vector<PackInfo> packs)
      : store_(std::move(store)), packs_(std::move(packs)) {}

  const std::vector<PackInfo>& packs() const { return packs_; }
  // kCorrupt where the pack is gone: the backup was said to have it.
  Result<std::shared_ptr<const SealedReader>> open(std::uint32_t pack) const;

 private:
  struct Entry {
    std::uint32_t pack;
    std::shared_ptr<const SealedReader> reader;
  };
  std::shared_ptr<const SealedReader> find(std::uint32_t pack) const;
  void keep(std::uint32_t pack, std::shared_ptr<const SealedReader> reader) const;

  const IncarnationStore store_;
  const std::vector<PackInfo> packs_;
  mutable std::mutex mutex_;
  mutable std::list<Entry> kept_;          // guarded; used last in front
  mutable std::uint64_t kept_frames_ = 0;  // guarded
};

}  // namespace pitr
