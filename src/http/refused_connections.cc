#include "http/refused_connections.h"

#include <sys/socket.h>

#include <cerrno>
#include <string_view>

namespace pitr::http {
namespace {

constexpr std::size_t kMostOpen = 128;
constexpr Milliseconds kTimeToRead{1'000};
constexpr Milliseconds kLookAgain{50};
constexpr std::string_view kAnswer =
    "HTTP/1.1 503 Service Unavailable\r\n"
    "Content-Type: text/plain; charset=utf-8\r\n"
    "Connection: close\r\nRetry-After: 1\r\nContent-Length: 31\r\n\r\n"
    "too many connections; try again";

// Takes what the client sent. True where it has closed its side.
bool drained(int fd) {
  char buffer[4096];
  // A client that sends for ever is cut off at its time; here it doesn't hold up others.
  for (int i = 0; i < 16; ++i) {
    const auto count = ::recv(fd, buffer, sizeof buffer, MSG_DONTWAIT);
    if (count == 0) return true;
    if (count < 0) return errno != EAGAIN && errno != EINTR;
  }
  return false;
}

}  // namespace

void RefusedConnections::add(UniqueFd connection) {
  // The answer fits into an empty send buffer.
  const auto sent =
      ::send(connection.get(), kAnswer.data(), kAnswer.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  ::shutdown(connection.get(), SHUT_WR);
  if (sent < 0) return;
  if (refused_.size() >= kMostOpen) refused_.pop_front();
  refused_.push_back({std::move(connection), std::chrono::steady_clock::now() + kTimeToRead});
}

SteadyTime RefusedConnections::close_old() {
  const auto now = std::chrono::steady_clock::now();
  std::erase_if(refused_, [&](const Refused& refused) {
    return refused.close_at <= now || drained(refused.connection.get());
  });
  return now + (refused_.empty() ? Milliseconds(3'600'000) : kLookAgain);
}

}  // namespace pitr::http
