// Who owns what a restore writes. Only root can give files away; for others there is nothing to do.
#pragma once

#include <sys/types.h>

#include <optional>

#include "common/file.h"
#include "common/result.h"

namespace pitr {

struct FileOwner {
  uid_t user = 0;
  gid_t group = 0;
};

// The owner of an existing file or directory.
Result<FileOwner> owner_of(const Path& path);
// nullopt unless this process is root. Otherwise the target directory's owner, where it exists and
// isn't root's; else that of the directory above it; else the user "postgres". kInvalid where there
// is none: PostgreSQL refuses root.
Result<std::optional<FileOwner>> owner_for(const Path& target_directory);
Result<void> give_to(const Path& path, const std::optional<FileOwner>& owner);
Result<void> give_to(int fd, const Path& shown, const std::optional<FileOwner>& owner);

}  // namespace pitr
