// Where the operator's key comes from: a file, an environment variable or a command's output; never
// the configuration itself. Thread-safe, apart from the environment.
#pragma once

#include <string>

#include "codec/keyring.h"
#include "common/clock.h"
#include "common/file.h"
#include "common/result.h"

namespace pitr {

struct KeySource {
  enum class Kind { kFile, kEnvironment, kCommand };
  Kind kind = Kind::kFile;
  std::string value;  // the path, the variable's name, or a command for /bin/sh -c
};
std::string to_string(const KeySource& source);  // "key file /etc/pitr/key": for messages

// kDenied where there is no key or it may not be read (also: a file that everybody may read),
// kInvalid where it isn't one. A command that takes longer than timeout is ended.
Result<KeyEncryptionKey> read_key(const KeySource& source, Seconds timeout = Seconds(30));

// A new random key in a new file with mode 0600, durable. kConflict where the file exists.
Result<KeyEncryptionKey> create_key_file(const Path& path);

}  // namespace pitr
