// Exchanging the key file for another one, so that a crash between any two steps leaves a file that
// opens the repository. One process at a time; where the file is a link, what it leads to is meant.
#pragma once

#include "codec/keyring.h"
#include "common/file.h"
#include "common/result.h"

namespace pitr {

class KeyFileExchange {
 public:
  // Locks the file, and makes the new key in FILE.new, with the owner and mode of FILE; where an
  // interrupted exchange left one, that one. kConflict while another process does the same.
  static Result<KeyFileExchange> start(const Path& file);

  const KeyEncryptionKey& old_key() const { return old_; }
  const KeyEncryptionKey& new_key() const { return new_; }
  // FILE.<old id>, mode 0600: where finish() leaves the old key.
  Path kept_file() const;
  // Only once the new key opens everything. Durable on return.
  Result<void> finish();

 private:
  KeyFileExchange(Path file, File locked, KeyEncryptionKey old, KeyEncryptionKey made)
      : file_(std::move(file)),
        locked_(std::move(locked)),
        old_(std::move(old)),
        new_(std::move(made)) {}
  Path file_;
  File locked_;
  KeyEncryptionKey old_;
  KeyEncryptionKey new_;
};

// The key in this file; a new one, durable and with mode 0600, where there is no such file. A crash
// leaves no half of a key, and of two processes at a time both get the same one.
Result<KeyEncryptionKey> read_or_create_key_file(const Path& file);

}  // namespace pitr
