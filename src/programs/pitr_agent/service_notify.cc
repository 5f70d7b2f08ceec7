#include "programs/pitr_agent/service_notify.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <charconv>
#include <cstdlib>
#include <cstring>

#include "common/log.h"
#include "common/retry.h"

namespace pitr {

static std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

static std::int64_t number(const std::string& text) {
  std::int64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

ServiceNotify::ServiceNotify() : socket_(variable("NOTIFY_SOCKET")) {
  if (socket_.empty() || socket_.size() >= sizeof(sockaddr_un::sun_path)) {
    socket_.clear();
    return;
  }
  fd_ = UniqueFd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const auto watched = variable("WATCHDOG_PID");
  const auto time_us = number(variable("WATCHDOG_USEC"));
  if (time_us > 0 && (watched.empty() || number(watched) == ::getpid())) {
    watchdog_ = std::chrono::microseconds(time_us);
  }
}

void ServiceNotify::tell(std::string_view message) const {
  if (socket_.empty()) return;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, socket_.data(), socket_.size());
  if (socket_.front() == '@') address.sun_path[0] = '\0';
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + socket_.size());
  if (::sendto(fd_.get(), message.data(), message.size(), MSG_NOSIGNAL | MSG_DONTWAIT,
               reinterpret_cast<const sockaddr*>(&address), size) < 0) {
    log::debug("systemd could not be told {}: {}", message, std::strerror(errno));
  }
}

void ServiceNotify::feed_watchdog(std::function<bool()> is_alive) {
  if (!watchdog_) return;
  feeder_ = std::jthread([this, is_alive = std::move(is_alive)](std::stop_token stop) {
    const auto interval = std::chrono::duration_cast<Milliseconds>(*watchdog_ / 2);
    do {
      if (is_alive()) {
        tell("WATCHDOG=1");
      } else {
        log::error("a thread of the agent doesn't come back; leaving the rest to systemd");
      }
    } while (sleep_for(interval, stop));
  });
}

}  // namespace pitr
