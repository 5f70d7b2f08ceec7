// repository.json: what one must know of a repository before any key is there. A plain value.
// docs/repository-format.md describes the members.
#pragma once

#include <string>

#include "common/bytes.h"
#include "common/clock.h"
#include "common/result.h"

namespace pitr {

struct RepositoryDescription {
  std::string id;  // a random UUID
  bool encrypted = true;
  std::string created;  // for people
};

Bytes encode_repository_json(const RepositoryDescription& description);
// kInvalid: a newer version, or not a repository's; kCorrupt: damaged.
Result<RepositoryDescription> parse_repository_json(ByteView bytes);

// A random UUID, version 4, in lower case.
Result<std::string> make_uuid();

}  // namespace pitr
