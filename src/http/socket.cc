#include "http/socket.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace pitr::http {
namespace {

constexpr Milliseconds kGraceAfterStop{1'000};
// In which the other side has to read all of what is written at once, however steadily it reads.
constexpr int kMostTimeouts = 6;

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
      // Also where there is always something to read.
      if (std::chrono::steady_clock::now() >= deadline) {
        return Error::transient("nothing came in time");
      }
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
    const auto last = std::chrono::steady_clock::now() + kMostTimeouts * timeout;
    while (!bytes.empty()) {
      const ssize_t count =
          ::send(fd_.get(), bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
      if (count >= 0) {
        bytes.remove_prefix(static_cast<std::size_t>(count));
      } else if (errno == EAGAIN) {
        TRY(wait_until_writable(std::min(std::chrono::steady_clock::now() + timeout, last)));
      } else if (errno != EINTR) {
        return Error::transient(fmt::format("the connection broke: {}", std::strerror(errno)));
      }
    }
    return {};
  }

  std::optional<uid_t> peer_user() const override {
    ucred peer{};
    socklen_t size = sizeof peer;
    if (::getsockopt(fd_.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return std::nullopt;
    if (peer.pid == 0) return std::nullopt;  // not a Unix socket
    return peer.uid;
  }

  std::string peer_address() const override {
    sockaddr_storage peer{};
    socklen_t size = sizeof peer;
    char text[INET6_ADDRSTRLEN] = "";
    if (::getpeername(fd_.get(), reinterpret_cast<sockaddr*>(&peer), &size) != 0) return {};
    if (peer.ss_family == AF_INET) {
      ::inet_ntop(AF_INET, &reinterpret_cast<const sockaddr_in&>(peer).sin_addr, text, sizeof text);
    } else if (peer.ss_family == AF_INET6) {
      ::inet_ntop(AF_INET6, &reinterpret_cast<const sockaddr_in6&>(peer).sin6_addr, text,
                  sizeof text);
    }
    return text;
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

Result<UniqueFd> accept_from(int listening_fd, const Wake& wake, SteadyTime deadline,
                             const std::string& name) {
  for (;;) {
    switch (wait_for(listening_fd, POLLIN, deadline, wake.fd())) {
      case Waited::kWoken:
        return Error::cancelled("stopped");
      case Waited::kDeadline:
        return Error::transient("no connection came");
      case Waited::kReady:
        break;
    }
    UniqueFd accepted(::accept4(listening_fd, nullptr, nullptr, SOCK_CLOEXEC));
    if (accepted) return accepted;
    if (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED) continue;
    return Error::from_errno(errno, fmt::format("accepting on {}", name));
  }
}

}  // namespace pitr::http
