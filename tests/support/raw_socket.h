// Both ends of a Unix socket for tests of protocol code, which must be able to send anything: a
// connection that writes and reads bytes, and a server that gives every client the same bytes.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <condition_variable>
#include <cstring>
#include <mutex>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "common/file.h"

namespace pitr::testing_support {

inline sockaddr_un unix_address(const Path& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
  return address;
}

// A connection over TCP to this machine. Fails by exception.
inline UniqueFd connect_to_port(int port) {
  UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    throw std::runtime_error("connecting to port " + std::to_string(port));
  }
  return fd;
}

// Fails by exception, and by "" where nothing comes for ten seconds.
class RawConnection {
 public:
  explicit RawConnection(const Path& path) : fd_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    const auto address = unix_address(path);
    if (::connect(fd_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
      throw std::runtime_error("connecting to " + path.string());
    }
  }
  explicit RawConnection(UniqueFd fd) : fd_(std::move(fd)) {}

  void send(std::string_view bytes) {
    while (!bytes.empty()) {
      const auto count = ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (count <= 0) return;  // the other side is gone; what it sent shows why
      bytes.remove_prefix(static_cast<std::size_t>(count));
    }
  }
  std::string read_some() {
    pollfd polled{fd_.get(), POLLIN, 0};
    char buffer[4096];
    if (::poll(&polled, 1, 10'000) <= 0) return "";
    const auto count = ::recv(fd_.get(), buffer, sizeof buffer, 0);
    return count > 0 ? std::string(buffer, static_cast<std::size_t>(count)) : "";
  }
  // Until `end` came, or the connection was closed.
  std::string read_until(std::string_view end) {
    std::string all;
    while (end.empty() || all.find(end) == std::string::npos) {
      const auto part = read_some();
      if (part.empty()) break;
      all += part;
    }
    return all;
  }
  std::string read_to_end() { return read_until(""); }
  void close() { fd_.reset(); }

 private:
  UniqueFd fd_;
};

// Reads a request's header from each client, sends `answer`, then closes or holds the connection.
class ScriptedServer {
 public:
  enum class After { kClose, kHold };

  ScriptedServer(Path path, std::string answer, After after = After::kClose)
      : path_(std::move(path)), answer_(std::move(answer)), after_(after) {
    listener_ = UniqueFd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const auto address = unix_address(path_);
    ::unlink(path_.c_str());
    if (::bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
        ::listen(listener_.get(), 8) != 0) {
      throw std::runtime_error("listening on " + path_.string());
    }
    thread_ = std::jthread([this] { serve(); });
  }
  ~ScriptedServer() {
    ::shutdown(listener_.get(), SHUT_RDWR);  // accept(2) returns
    thread_.join();
    ::unlink(path_.c_str());
  }

  // The headers of all requests so far.
  std::vector<std::string> requests() {
    std::lock_guard lock(mutex_);
    return requests_;
  }
  void wait_for_request() {
    std::unique_lock lock(mutex_);
    came_.wait(lock, [&] { return !requests_.empty(); });
  }

 private:
  void serve() {
    for (;;) {
      UniqueFd fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      if (!fd) return;
      RawConnection client(std::move(fd));
      auto request = client.read_until("\r\n\r\n");
      {
        std::lock_guard lock(mutex_);
        requests_.push_back(std::move(request));
        came_.notify_all();
      }
      client.send(answer_);
      if (after_ == After::kHold) held_.push_back(std::move(client));
    }
  }

  const Path path_;
  const std::string answer_;
  const After after_;
  UniqueFd listener_;
  std::mutex mutex_;
  std::condition_variable came_;
  std::vector<std::string> requests_;
  std::vector<RawConnection> held_;
  std::jthread thread_;
};

}  // namespace pitr::testing_support
