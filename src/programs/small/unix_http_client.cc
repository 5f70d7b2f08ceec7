#include "programs/small/unix_http_client.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

namespace pitr {
namespace {

constexpr std::size_t kLongestBody = 1 << 20;

long long now_ms() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000LL + now.tv_nsec / 1'000'000;
}

class Exchange {
 public:
  Exchange(int timeout_s, HttpAnswer& answer)
      : answer_(answer), timeout_s_(timeout_s), deadline_ms_(now_ms() + timeout_s * 1000LL) {}
  ~Exchange() {
    if (fd_ >= 0) ::close(fd_);
  }
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;

  bool connect(const char* path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const std::size_t length = ::strlen(path);
    if (length >= sizeof address.sun_path) return nobody("the socket's path is too long");
    ::memcpy(address.sun_path, path, length + 1);
    fd_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd_ < 0) return nobody(::strerror(errno));
    // connect(2) waits for a place in the listen queue as long as this says.
    const timeval patience{timeout_s_, 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    if (::connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) {
      return true;
    }
    if (errno == EAGAIN) return lost("it takes no further connection");
    answer_.expected_absence = errno == ENOENT || errno == ECONNREFUSED;
    return nobody(::strerror(errno));
  }

  bool send(std::string_view text) {
    while (!text.empty()) {
      if (!wait_for(POLLOUT)) return false;
      const ssize_t count = ::send(fd_, text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      if (count >= 0) {
        text.remove_prefix(static_cast<std::size_t>(count));
      } else if (errno != EAGAIN && errno != EINTR) {
        return lost_peer();
      }
    }
    return true;
  }

  // A server that refused early may have closed already; the answer is read all the same.
  void receive() {
    if (!receive_header() || !receive_body()) return;
    answer_.outcome = Outcome::kAnswered;
  }

 private:
  bool nobody(const char* why) {
    answer_.outcome = Outcome::kNobody;
    answer_.trouble = {};
    answer_.trouble.add(why);
    return false;
  }
  bool lost(const char* why) {
    answer_.outcome = Outcome::kLost;
    answer_.trouble = {};
    answer_.trouble.add(why);
    return false;
  }

  bool lost_peer() {
    answer_.peer_is_gone = errno == ECONNRESET || errno == EPIPE;
    return lost(answer_.peer_is_gone ? "the connection was closed before the answer was whole"
                                     : ::strerror(errno));
  }

  bool wait_for(short events) {
    for (;;) {
      const long long left_ms = deadline_ms_ - now_ms();
      if (left_ms <= 0) return lost("no answer in time");
      pollfd polled{fd_, events, 0};
      const int ready = ::poll(&polled, 1, static_cast<int>(left_ms));
      if (ready > 0) return true;
      if (ready < 0 && errno != EINTR) return lost(::strerror(errno));
    }
  }

  // The next byte; false at the end and on trouble.
  bool next(char& c) {
    while (read_ == received_) {
      if (!wait_for(POLLIN)) return false;
      const ssize_t count = ::recv(fd_, buffer_, sizeof buffer_, MSG_DONTWAIT);
      if (count == 0) errno = ECONNRESET;
      if (count == 0 || (count < 0 && errno != EAGAIN && errno != EINTR)) return lost_peer();
      read_ = 0;
      received_ = count > 0 ? static_cast<std::size_t>(count) : 0;
    }
    c = buffer_[read_++];
    return true;
  }

  // "HTTP/1.1 200 OK", then header lines, then an empty line.
  bool receive_header() {
    constexpr std::string_view kVersion = "HTTP/1.1 ";
    FixedText<256> status_line;
    char c = 0;
    while (next(c) && c != '\n') status_line.add(c);
    if (c != '\n') return false;
    const auto line = status_line.view();
    if (!line.starts_with(kVersion) || line.size() < kVersion.size() + 3) return not_http();
    for (std::size_t i = 0; i < 3; ++i) {
      const char digit = line[kVersion.size() + i];
      if (digit < '0' || digit > '9') return not_http();
      answer_.status = answer_.status * 10 + (digit - '0');
    }
    for (bool line_is_empty = true; next(c);) {
      answer_.header.add(c);
      if (answer_.header.overflowed()) return lost("the answer's header is too long");
      if (c == '\n' && line_is_empty) return true;
      if (c == '\n') {
        line_is_empty = true;
      } else if (c != '\r') {
        line_is_empty = false;
      }
    }
    return false;
  }

  bool receive_body() {
    const auto length = answer_.header_value("content-length");
    std::size_t left = 0;
    if (length.empty() || length.size() > 9) return lost("the answer doesn't say how long it is");
    for (const char digit : length) {
      if (digit < '0' || digit > '9') return not_http();
      left = left * 10 + static_cast<std::size_t>(digit - '0');
    }
    if (left > kLongestBody) return lost("the answer is too long");
    for (char c = 0; left > 0; --left) {
      if (!next(c)) return false;
      answer_.body.add(c);
    }
    return true;
  }

  bool not_http() { return lost("the answer is not HTTP"); }

  HttpAnswer& answer_;
  const int timeout_s_;
  const long long deadline_ms_;
  int fd_ = -1;
  char buffer_[4096];
  std::size_t read_ = 0;
  std::size_t received_ = 0;
};

std::string_view strip(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t' || text.back() == '\r')) {
    text.remove_suffix(1);
  }
  return text;
}

}  // namespace

std::string_view HttpAnswer::header_value(std::string_view name) const {
  for (auto rest = header.view(); !rest.empty();) {
    std::size_t length = 0;
    while (length < rest.size() && rest[length] != '\n') ++length;
    const std::string_view line(rest.data(), length);
    rest.remove_prefix(length < rest.size() ? length + 1 : length);
    if (line.size() > name.size() && line[name.size()] == ':' &&
        ::strncasecmp(line.data(), name.data(), name.size()) == 0) {
      return strip({line.data() + name.size() + 1, line.size() - name.size() - 1});
    }
  }
  return {};
}

void ask(const char* socket_path, std::string_view method, std::string_view target, int timeout_s,
         HttpAnswer& answer) {
  Exchange exchange(timeout_s, answer);
  if (!exchange.connect(socket_path)) return;
  FixedText<20 * 1024> request;
  request.add(method).add(' ').add(target);
  request.add(" HTTP/1.1\r\nHost: pitr\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
  if (request.overflowed()) {
    answer.trouble.add("the request is too long");
    return;
  }
  exchange.send(request.view());
  exchange.receive();
}

}  // namespace pitr
