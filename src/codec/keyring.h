// Keys. A data key seals containers; a key-encryption key (KEK), which never enters the repository,
// wraps data keys into keyring objects. docs/repository-format.md has the bytes.
//
// Secrets are overwritten when their owner dies. Values are immutable; a Keyring may be read by any
// number of threads.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
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

 private:
  std::array<std::uint8_t, 32> bytes_;
};

struct DataKey {
  std::uint32_t epoch = 0;  // from 1 on
  Secret256 secret;
};

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

// Where a KEK comes from. kDenied with a hint where the file, variable or command isn't there or
// fails; kInvalid where what it gives isn't a key. A key file that everybody may read is refused.
Result<KeyEncryptionKey> read_key_file(const Path& path);
Result<KeyEncryptionKey> read_key_environment(const std::string& variable);
// A shell command, ended where it takes longer than the time-out.
Result<KeyEncryptionKey> run_key_command(const std::string& command, Seconds timeout = Seconds(30));
// A new file with mode 0600, durable on return. kConflict where the file exists already.
Result<void> create_key_file(const Path& path, const KeyEncryptionKey& key);

class Keyring {
 public:
  void add(DataKey key);
  bool empty() const { return keys_.empty(); }
  const DataKey* newest() const;  // seals new containers; null where there is none
  const DataKey* find(std::uint32_t epoch) const;

 private:
  std::map<std::uint32_t, DataKey> keys_;
};

}  // namespace pitr
