#include "codec/block_digest.h"

#include "codec/aes_gcm.h"
#include "codec/digest.h"
#include "codec/xxh3.h"

namespace pitr {

static constexpr std::string_view kDigestInfo = "pitr block digest 1";

static_assert(192 >= XXH3_SECRET_SIZE_MIN);

Result<BlockHasher> BlockHasher::create(const DataKey* key, std::string_view repository_id) {
  BlockHasher hasher;
  if (key != nullptr) {
    hasher.epoch_ = key->epoch;
    TRY(hkdf_sha256(key->secret, as_bytes(repository_id), kDigestInfo, hasher.secret_));
    return hasher;
  }
  // Not a secret; it has only to differ from the cipher's.
  const auto id = sha256(as_bytes(repository_id));
  TRY(hkdf_sha256(Secret256(id), as_bytes(repository_id), kDigestInfo, hasher.secret_));
  return hasher;
}

BlockHasher::~BlockHasher() {
  wipe(secret_);
}

std::uint64_t BlockHasher::digest(ByteView block) const {
  const std::uint64_t digest =
      XXH3_64bits_withSecret(block.data(), block.size(), secret_.data(), secret_.size());
  return digest == 0 ? 1 : digest;
}

}  // namespace pitr
