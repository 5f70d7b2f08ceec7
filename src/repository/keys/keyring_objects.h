// The objects below keyring/: each is one data key, wrapped by one key-encryption key (KEK).
// docs/repository-format.md, "Keys". Functions only; thread-safe.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "codec/keyring.h"
#include "repository/layout.h"
#include "storage/storage.h"

namespace pitr {

struct KeyringObject {
  ObjectKey key;
  std::uint32_t epoch = 0;
  std::string kek_id;
  Timestamp stored;  // the store's clock
};

// By epoch, then by KEK. kCorrupt where something else lies there.
Result<std::vector<KeyringObject>> list_keyring(Storage& storage);

Result<Bytes> get_keyring_object(Storage& storage, const KeyringObject& object);

// Reads it from the storage. Errors as of KeyEncryptionKey::unwrap(), and kCorrupt where it holds
// the key of another epoch than its name says; they name the object.
Result<DataKey> open_keyring_object(Storage& storage, const KeyringObject& object,
                                    const KeyEncryptionKey& kek, std::string_view repository_id);

// The ids of the KEKs, each once: "0123456789abcdef or 89abcdef01234567".
std::string kek_ids(const std::vector<KeyringObject>& objects);

}  // namespace pitr
