#include "walreceiver/stall_watch.h"

#include <sys/socket.h>

namespace pitr {

StallWatch::StallWatch(int socket_fd, Milliseconds timeout)
    : socket_fd_(socket_fd),
      timeout_(timeout),
      thread_([this](std::stop_token stop) { watch(stop); }) {}

bool StallWatch::has_cut() const {
  std::lock_guard lock(mutex_);
  return has_cut_;
}

// No notification here: writes begin thousands of times a second, and the watcher looks often
// enough by itself.
void StallWatch::begin() {
  std::lock_guard lock(mutex_);
  storing_since_ = std::chrono::steady_clock::now();
}

void StallWatch::end() {
  std::lock_guard lock(mutex_);
  storing_since_.reset();
}

void StallWatch::watch(std::stop_token stop) {
  const auto tick = timeout_ / 4;
  std::unique_lock lock(mutex_);
  while (!stop.stop_requested() && !has_cut_) {
    changed_.wait_for(lock, stop, tick, [] { return false; });
    if (storing_since_ && std::chrono::steady_clock::now() - *storing_since_ > timeout_) {
      ::shutdown(socket_fd_, SHUT_RDWR);
      has_cut_ = true;
    }
  }
}

}  // namespace pitr
