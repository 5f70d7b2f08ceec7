// Rotation of keys: another key-encryption key (KEK) for all that is stored, or another data key
// for what will be. docs/keys.md is for operators, docs/repository-format.md, "Keys", has the
// rules.
//
// Nothing is called done before it was read back from the storage. Killed anywhere, the repository
// opens with the key with which it opened before (with retire_key(): with the key that is given),
// and the same call goes on. Functions only; thread-safe, and safe against other processes as said.
// An unencrypted repository is kInvalid for all of them.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "common/clock.h"
#include "repository/keys/key_proof.h"
#include "repository/repository.h"

namespace pitr {

struct KeyringEntry {
  enum class Opens { kYes, kOtherKey, kDamaged };
  std::uint32_t epoch = 0;
  std::string kek_id;
  Timestamp stored;            // the store's clock
  std::uint32_t made_day = 0;  // of the data key; as in DataKey
  Opens opens = Opens::kOtherKey;
  std::string problem;  // of damaged ones
};
// All that is there, by epoch, and whether `key` opens it.
Result<std::vector<KeyringEntry>> list_keys(Repository& repository, const KeyEncryptionKey& key);

struct AddedWrapping {
  std::size_t added = 0;  // objects; the others were there already
  std::vector<KeyProof> proofs;
};
// Wraps the data key of every epoch, as `current` opens it, with `added` as well, and proves that
// this one opens everything: the objects are read back, their secrets compared, and real objects
// opened. kInvalid where both are the same key; kDenied where `current` doesn't open all epochs.
Result<AddedWrapping> add_wrapping(Repository& repository, const KeyEncryptionKey& current,
                                   const KeyEncryptionKey& added);

struct RetiredKey {
  std::size_t removed = 0;  // objects
  std::vector<KeyProof> proofs;
};
// Deletes the objects of the KEK with this id, after the same proof for `current`. kInvalid where
// it is the id of `current`; kNotFound where nothing is wrapped by it; kDenied where `current`
// doesn't open everything. In all these cases nothing was deleted.
Result<RetiredKey> retire_key(Repository& repository, const KeyEncryptionKey& current,
                              const std::string& kek_id);

// Makes the data key that seals what is written from now on, by `repository` too; returns its
// epoch. kInvalid while data keys are wrapped by other KEKs as well, which could not open it;
// kConflict where somebody else does the same: only one of two at a time succeeds.
Result<std::uint32_t> add_epoch(Repository& repository, const KeyEncryptionKey& current,
                                const Clock& clock);

}  // namespace pitr
