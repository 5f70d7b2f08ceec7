// Keys. A data key seals containers; a key-encryption key (KEK), which never enters the repository,
// wraps data keys into keyring objects. docs/repository-format.md has the bytes.
//
// Secrets are overwritten when their owner dies. Values are immutable. A Keyring only ever grows,
// and may do so while any number of threads use it.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "common/bytes.h"
#include "common/clock.h"
#include "common/file.h"
#include "common/result.h"

namespace pitr {

// Overwrites secrets, in a way that the compiler does not leave out.
void wipe(MutableByteView bytes);
void wipe(std::string& text);
// From the system's cryptographically secure generator.
Result<void> fill_random(MutableByteView into);

class Secret256 {
 public:
  explicit Secret256(const std::array<std::uint8_t, 32>& bytes) : bytes_(bytes) {}
  Secret256(const Secret256&) = default;
  Secret256& operator=(const Secret256&) = default;
  ~Secret256();
  static Result<Secret256> random();
  static Result<Secret256> from_bytes(ByteView bytes);  // kInvalid unless there are 32
  ByteView bytes() const { return bytes_; }
  // In a time that tells nothing about the bytes.
  bool same_as(const Secret256& other) const;

 private:
  std::array<std::uint8_t, 32> bytes_;
};

struct DataKey {
  std::uint32_t epoch = 0;  // from 1 on
  Secret256 secret;
  std::uint32_t made_day = 0;  // days since 1970-01-01 UTC; 0: not known
};

std::uint32_t day_of(Timestamp time);  // as in DataKey
Timestamp start_of_day(std::uint32_t day);

class KeyEncryptionKey {
 public:
  static Result<KeyEncryptionKey> generate();
  // 64 hexadecimal digits, or the base64 of 32 bytes; white space around it is ignored.
  static Result<KeyEncryptionKey> parse(std::string_view text);

  // The first 8 bytes of SHA-256("pitr kek id" || key) in hexadecimal: names the key, tells
  // nothing.
  const std::string& id() const { return id_; }
  std::string to_text() const;  // what parse() takes; for writing a new key file

  // The bytes of a keyring object for this data key, and back. unwrap gives kDenied where the
  // object was wrapped by another key, naming both ids, and kCorrupt where it is damaged.
  Result<Bytes> wrap(const DataKey& key, std::string_view repository_id) const;
  Result<DataKey> unwrap(ByteView keyring_object, std::string_view repository_id) const;

 private:
  explicit KeyEncryptionKey(Secret256 secret);
  Secret256 secret_;
  std::string id_;
};

// What a keyring object says without any key; nobody vouches for it.
struct KeyringObjectHeader {
  std::uint32_t epoch = 0;
  std::string kek_id;
  std::uint32_t made_day = 0;  // as in DataKey
};
// kCorrupt where the object is damaged, kInvalid for a newer format.
Result<KeyringObjectHeader> read_keyring_object(ByteView keyring_object);

// Where a KEK comes from. kDenied with a hint where the file, variable or command isn't there or
// fails; kInvalid where what it gives isn't a key. A key file that everybody may read is refused.
Result<KeyEncryptionKey> read_key_file(const Path& path);
Result<KeyEncryptionKey> read_key_environment(const std::string& variable);
// A shell command, ended where it takes longer than the time-out.
Result<KeyEncryptionKey> run_key_command(const std::string& command, Seconds timeout = Seconds(30));
// A new file with mode 0600, durable on return. kConflict where the file exists already.
Result<void> create_key_file(const Path& path, const KeyEncryptionKey& key);

// The data keys of a repository. What find() and newest() return stays where it is for as long as
// the keyring: no key is ever taken out or exchanged.
class Keyring {
 public:
  Keyring() = default;
  // Only while nobody else uses either of the two.
  Keyring(Keyring&& other) noexcept : keys_(std::move(other.keys_)) {}
  Keyring& operator=(Keyring&& other) noexcept;

  // False where the same key is there already. kConflict where another one of its epoch is: two
  // keys of one epoch would make everything sealed with one of them unreadable.
  Result<bool> add(DataKey key);
  bool empty() const;
  std::vector<std::uint32_t> epochs() const;  // ascending
  const DataKey* newest() const;              // seals new containers; null where there is none
  const DataKey* find(std::uint32_t epoch) const;

 private:
  mutable std::mutex mutex_;
  std::map<std::uint32_t, DataKey> keys_;  // guarded; nodes neither move nor go
};

}  // namespace pitr
