#include "http/unix_socket.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <grp.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace pitr::http {
namespace {

constexpr Milliseconds kConnectSlice{100};

Result<sockaddr_un> address_of(const Path& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.native().size() >= sizeof address.sun_path) {
    return Error::invalid(fmt::format("the socket path {} is longer than {} characters",
                                      path.string(), sizeof address.sun_path - 1));
  }
  std::memcpy(address.sun_path, path.c_str(), path.native().size() + 1);
  return address;
}

Result<UniqueFd> new_socket(int flags) {
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0));
  if (!fd) return Error::from_errno(errno, "making a socket");
  return fd;
}

Result<gid_t> find_group(const std::string& name) {
  std::vector<char> buffer(16 * 1024);
  group entry{};
  group* found = nullptr;
  const int failure = ::getgrnam_r(name.c_str(), &entry, buffer.data(), buffer.size(), &found);
  if (failure != 0) return Error::from_errno(failure, fmt::format("looking up group {}", name));
  if (!found) return Error::invalid(fmt::format("there is no group {}", name));
  return found->gr_gid;
}

}  // namespace

Result<UniqueFd> connect_unix(const Path& path, Milliseconds timeout, std::stop_token stop) {
  const auto address = TRY(address_of(path));
  auto fd = TRY(new_socket(0));
  // Where the listen queue is full, connect(2) waits for as long as SO_SNDTIMEO says.
  const timeval slice{0, kConnectSlice / Microseconds(1)};
  ::setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &slice, sizeof slice);
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  const auto what = fmt::format("connecting to {}", path.string());
  while (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    if (errno == ECONNREFUSED || errno == ENOENT || errno == ENOTDIR) {
      return Error::not_found(fmt::format("nobody listens on {}", path.string()));
    }
    if (errno != EAGAIN && errno != EINTR) return Error::from_errno(errno, what);
    if (stop.stop_requested()) return Error::cancelled(what + " was stopped");
    if (std::chrono::steady_clock::now() >= deadline) {
      return Error::transient(what + ": it takes no further connection");
    }
  }
  return fd;
}

Result<UnixListener> UnixListener::open(const Path& path, unsigned mode,
                                        const std::optional<std::string>& group) {
  const Path lock_path = path.string() + ".lock";
  UniqueFd lock(::open(lock_path.c_str(), O_CREAT | O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!lock) return Error::from_errno(errno, fmt::format("opening {}", lock_path.string()));
  const auto taken = [&] {
    return Error::conflict(fmt::format("another process listens on {}", path.string()))
        .with_hint("stop it, or choose another socket");
  };
  if (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) return taken();

  struct stat existing{};
  if (::lstat(path.c_str(), &existing) == 0) {
    if (!S_ISSOCK(existing.st_mode)) {
      return Error::conflict(fmt::format("{} is there and is not a socket", path.string()));
    }
    const auto answer = connect_unix(path, Milliseconds(0), {});
    if (answer || answer.error().kind() == ErrorKind::kTransient) return taken();
    if (answer.error().kind() != ErrorKind::kNotFound) return answer.error();
    if (::unlink(path.c_str()) != 0 && errno != ENOENT) {
      return Error::from_errno(errno, fmt::format("removing the stale {}", path.string()));
    }
  }
  UnixListener listener(std::move(lock), path);
  TRY(listener.bind(mode, group));
  return listener;
}

// Nobody can connect between bind(2) and listen(2), so that the mode is right from the start.
Result<void> UnixListener::bind(unsigned mode, const std::optional<std::string>& group) {
  const auto address = TRY(address_of(path_));
  auto fd = TRY(new_socket(SOCK_NONBLOCK));
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return Error::from_errno(errno, fmt::format("making the socket {}", path_.string()));
  }
  fd_ = std::move(fd);  // from here on the destructor removes the file
  struct stat made{};
  if (::lstat(path_.c_str(), &made) == 0) inode_ = made.st_ino;
  if (group) {
    const auto gid = TRY(find_group(*group));
    if (::chown(path_.c_str(), static_cast<uid_t>(-1), gid) != 0) {
      return Error::from_errno(errno, fmt::format("giving {} to group {}", path_.string(), *group));
    }
  }
  if (::chmod(path_.c_str(), mode) != 0) {
    return Error::from_errno(errno, fmt::format("setting the mode of {}", path_.string()));
  }
  if (::listen(fd_.get(), 128) != 0) {
    return Error::from_errno(errno, fmt::format("listening on {}", path_.string()));
  }
  return {};
}

UnixListener::~UnixListener() {
  if (!fd_) return;
  struct stat present{};
  if (::lstat(path_.c_str(), &present) == 0 && present.st_ino == inode_) ::unlink(path_.c_str());
}

Result<UniqueFd> UnixListener::accept(const Wake& wake, SteadyTime deadline) {
  return accept_from(fd_.get(), wake, deadline, path_.native());
}

}  // namespace pitr::http
