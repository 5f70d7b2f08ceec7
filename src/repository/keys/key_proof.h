// Whether data keys open what was really sealed with them: the last proof before a key that opened
// everything goes. Reads only; thread-safe.
#pragma once

#include <optional>
#include <vector>

#include "repository/repository.h"

namespace pitr {

struct KeyProof {
  std::uint32_t epoch = 0;
  std::optional<ObjectKey> opened;  // none: nothing was found that is sealed with this key
};

// For each key one object that it opens: what incarnations are known by, manifests and audit
// entries, the newest and the oldest of them. kDenied where a key doesn't fit what bears its epoch;
// kCorrupt where all that was found for an epoch is damaged.
Result<std::vector<KeyProof>> prove_keys(Repository& repository, const Keyring& keys);

}  // namespace pitr
