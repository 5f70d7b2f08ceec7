// The keys of a repository: the operator's key-encryption key (KEK), the data keys that it wraps,
// and the keys derived from those. docs/repository-format.md ("Keys") has the bytes.
//
// Plain values, wiped on destruction; const access is thread-safe. A wrong or missing key is
// kDenied, a damaged keyring object kCorrupt.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "codec/secret.h"
#include "common/bytes.h"
#include "common/result.h"

namespace pitr {

// One generation of the key under which containers are sealed.
struct DataKey {
  std::uint32_t epoch = 1;
  Secret256 secret;

  static Result<DataKey> generate(std::uint32_t epoch);
};

using KeyId = std::array<std::uint8_t, 8>;
std::string to_string(const KeyId& id);  // 16 lower-case hexadecimal digits

class KeyEncryptionKey {
 public:
  static Result<KeyEncryptionKey> generate();
  // 32 bytes in base64 or hexadecimal; white space around is ignored. `origin` ("key file
  // /etc/pitr/key") is for messages; the text never appears in one.
  static Result<KeyEncryptionKey> from_text(std::string_view text, std::string_view origin);

  // What a key file holds: base64 and a line feed.
  std::string to_text() const;
  // Says which key this is, and nothing about its bytes.
  std::string id() const { return to_string(id_); }
  const KeyId& id_bytes() const { return id_; }
  const Secret256& secret() const { return secret_; }

 private:
  explicit KeyEncryptionKey(const Secret256& secret);
  Secret256 secret_;
  KeyId id_{};
};

// The bytes of keyring/<epoch>.<kek-id>. Bound to the repository's id.
Result<Bytes> wrap_data_key(const DataKey& key, const KeyEncryptionKey& kek,
                            std::string_view repository_id);
// kDenied where it was wrapped by another key: the message names the one that the repository wants
// and the one that was given.
Result<DataKey> unwrap_data_key(ByteView keyring_object, const KeyEncryptionKey& kek,
                                std::string_view repository_id);
// What a keyring object says of itself, without a key.
struct KeyringObjectInfo {
  std::uint32_t epoch = 0;
  std::string kek_id;
};
Result<KeyringObjectInfo> inspect_keyring_object(ByteView keyring_object);

// The error for an encrypted repository that is opened without a key. wanted_kek_id may be empty.
Error missing_key_error(std::string_view wanted_kek_id);

// The data keys of one repository, by epoch. Empty for a repository without encryption.
class Keyring {
 public:
  void add(const DataKey& key) { keys_.insert_or_assign(key.epoch, key); }
  bool empty() const { return keys_.empty(); }
  // nullptr where there is none. Pointers stay valid while the keyring lives and isn't moved.
  const DataKey* find(std::uint32_t epoch) const;
  const DataKey* newest() const;

 private:
  std::map<std::uint32_t, DataKey> keys_;
};

// HKDF-SHA-256 of a data key, for purposes that `info` keeps apart.
Result<void> derive_key(const DataKey& key, ByteView salt, std::string_view info,
                        MutableByteView into);

}  // namespace pitr
