#include "http/unix_socket.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <grp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace pitr::http {
namespace {

constexpr Milliseconds kGraceAfterStop{1'000};
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

// Waits for `events`. True: they came (or the connection broke); false: the deadline did, or wake.
enum class Waited { kReady, kDeadline, kWoken };
Waited wait_for(int fd, short events, SteadyTime deadline, int wake_fd) {
  for (;;) {
    const auto left = std::chrono::ceil<Milliseconds>(deadline - std::chrono::steady_clock::now());
    pollfd polled[2] = {{fd, events, 0}, {wake_fd, POLLIN, 0}};
    const int timeout_ms = static_cast<int>(std::clamp<std::int64_t>(left.count(), 0, 3'600'000));
    const int ready = ::poll(polled, wake_fd >= 0 ? 2 : 1, timeout_ms);
    if (ready < 0 && errno != EINTR) return Waited::kReady;  // the next call gives the reason
    if (ready > 0 && polled[1].revents != 0) return Waited::kWoken;
    if (ready > 0) return Waited::kReady;
    if (ready == 0 && std::chrono::steady_clock::now() >= deadline) return Waited::kDeadline;
  }
}

class SocketStream final : public ByteStream {
 public:
  SocketStream(UniqueFd fd, const Wake& wake) : fd_(std::move(fd)), wake_(wake) {}

  Result<std::size_t> read_some(std::span<char> into, SteadyTime deadline) override {
    for (;;) {
      switch (wait_for(fd_.get(), POLLIN, deadline, wake_.fd())) {
        case Waited::kWoken:
          return Error::cancelled("stopped");
        case Waited::kDeadline:
          return Error::transient("nothing came in time");
        case Waited::kReady:
          break;
      }
      const ssize_t count = ::recv(fd_.get(), into.data(), into.size(), MSG_DONTWAIT);
      if (count >= 0) return static_cast<std::size_t>(count);
      if (errno == EAGAIN || errno == EINTR) continue;
      return Error::transient(fmt::format("the connection broke: {}", std::strerror(errno)));
    }
  }

  Result<void> write_all(std::string_view bytes, Milliseconds timeout) override {
    while (!bytes.empty()) {
      const ssize_t count =
          ::send(fd_.get(), bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
      if (count >= 0) {
        bytes.remove_prefix(static_cast<std::size_t>(count));
      } else if (errno == EAGAIN) {
        TRY(wait_until_writable(std::chrono::steady_clock::now() + timeout));
      } else if (errno != EINTR) {
        return Error::transient(fmt::format("the connection broke: {}", std::strerror(errno)));
      }
    }
    return {};
  }

  bool peer_gone() override {
    pollfd polled{fd_.get(), POLLRDHUP, 0};
    return ::poll(&polled, 1, 0) > 0;
  }

 private:
  Result<void> wait_until_writable(SteadyTime deadline) {
    for (;;) {
      const bool stopped = stop_seen_ != SteadyTime();
      if (stopped) deadline = std::min(deadline, stop_seen_ + kGraceAfterStop);
      switch (wait_for(fd_.get(), POLLOUT, deadline, stopped ? -1 : wake_.fd())) {
        case Waited::kReady:
          return {};
        case Waited::kDeadline:
          return Error::transient("the other side does not read");
        case Waited::kWoken:
          stop_seen_ = std::chrono::steady_clock::now();
      }
    }
  }

  UniqueFd fd_;
  const Wake& wake_;
  SteadyTime stop_seen_;
};

}  // namespace

Result<Wake> Wake::create() {
  UniqueFd fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!fd) return Error::from_errno(errno, "making an eventfd");
  return Wake(std::move(fd));
}

void Wake::set() const {
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto written = ::write(fd_.get(), &one, sizeof one);  // cannot fail here
}

std::unique_ptr<ByteStream> make_stream(UniqueFd socket, const Wake& wake) {
  return std::make_unique<SocketStream>(std::move(socket), wake);
}

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

Result<UniqueFd> UnixListener::accept(const Wake& wake) {
  for (;;) {
    const auto forever = std::chrono::steady_clock::now() + std::chrono::hours(1);
    switch (wait_for(fd_.get(), POLLIN, forever, wake.fd())) {
      case Waited::kWoken:
        return Error::cancelled("stopped");
      case Waited::kDeadline:
        continue;
      case Waited::kReady:
        break;
    }
    UniqueFd accepted(::accept4(fd_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (accepted) return accepted;
    if (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED) continue;
    return Error::from_errno(errno, fmt::format("accepting on {}", path_.string()));
  }
}

}  // namespace pitr::http
