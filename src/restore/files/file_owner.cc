#include "restore/files/file_owner.h"

#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

namespace pitr {

Result<FileOwner> owner_of(const Path& path) {
  struct stat info{};
  if (::stat(path.c_str(), &info) != 0) return Error::from_errno(errno, path.string());
  return FileOwner{info.st_uid, info.st_gid};
}

Result<std::optional<FileOwner>> owner_for(const Path& target_directory) {
  if (::geteuid() != 0) return std::optional<FileOwner>();
  for (const auto& directory : {target_directory, target_directory.parent_path()}) {
    const auto existing = owner_of(directory);
    if (existing.has_value() && existing->user != 0) return std::optional(*existing);
  }
  // The only thread that asks: programs do so before they start any.
  if (const auto* user = ::getpwnam("postgres")) {
    return std::optional(FileOwner{user->pw_uid, user->pw_gid});
  }
  return Error::invalid("a server cannot run as root, and there is no user \"postgres\"")
      .with_hint("run this as the user who runs the server, or give the target directory to it");
}

Result<void> give_to(const Path& path, const std::optional<FileOwner>& owner) {
  if (!owner) return {};
  if (::lchown(path.c_str(), owner->user, owner->group) != 0) {
    return Error::from_errno(errno, "changing the owner of " + path.string());
  }
  return {};
}

Result<void> give_to(int fd, const Path& shown, const std::optional<FileOwner>& owner) {
  if (!owner) return {};
  if (::fchown(fd, owner->user, owner->group) != 0) {
    return Error::from_errno(errno, "changing the owner of " + shown.string());
  }
  return {};
}

}  // namespace pitr
