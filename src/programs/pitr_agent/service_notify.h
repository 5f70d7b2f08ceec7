// What a service tells systemd (sd_notify(3)): datagrams to the socket that NOTIFY_SOCKET names,
// and the watchdog's food, as long as the service is alive. Without systemd nothing happens.
// Thread-safe.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

#include "common/file.h"

namespace pitr {

class ServiceNotify {
 public:
  // Reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID.
  ServiceNotify();

  // "READY=1", "STOPPING=1". Failures are nobody's concern.
  void tell(std::string_view message) const;
  // Where systemd watches: "WATCHDOG=1" in half the time that it gives, while is_alive() is true.
  void feed_watchdog(std::function<bool()> is_alive);
  void stop_feeding() { feeder_ = {}; }

 private:
  std::string socket_;
  std::optional<std::chrono::microseconds> watchdog_;
  UniqueFd fd_;
  std::jthread feeder_;  // last: it uses the above
};

}  // namespace pitr
