// Digests of single blocks, to tell whether one changed: XXH3-64 under a secret that is derived
// from a data key, so that whoever reads a digest table learns nothing of contents that could be
// guessed. docs/repository-format.md ("Digest tables") has the derivation.
//
// Immutable; thread-safe.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "codec/keyring.h"
#include "common/bytes.h"
#include "common/result.h"

namespace pitr {

class BlockHasher {
 public:
  // key: null where the repository isn't encrypted; digests are then keyed by the repository's id.
  static Result<BlockHasher> create(const DataKey* key, std::string_view repository_id);
  BlockHasher(const BlockHasher&) = default;
  BlockHasher& operator=(const BlockHasher&) = default;
  ~BlockHasher();

  // Never 0, which stands for "not known".
  std::uint64_t digest(ByteView block) const;
  std::uint32_t epoch() const { return epoch_; }  // of the data key; 0 without one

 private:
  BlockHasher() = default;
  std::array<std::uint8_t, 192> secret_{};
  std::uint32_t epoch_ = 0;
};

}  // namespace pitr
