// Cuts a connection when storage makes no progress: the thread that streams is then stuck in a
// write and cannot do it by itself, and a server that shuts down would wait for it for ever.
//
//   StallWatch::Guard guard = watch.storing();   // around every call into storage
//
// Only shutdown(2) is called on the socket, by which the stuck thread learns of it as soon as its
// write returns. Thread-safe.
#pragma once

#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>

#include "common/clock.h"

namespace pitr {

class StallWatch {
 public:
  StallWatch(int socket_fd, Milliseconds timeout);

  class Guard {
   public:
    explicit Guard(StallWatch& watch) : watch_(watch) { watch_.begin(); }
    ~Guard() { watch_.end(); }
    Guard(const Guard&) = delete;
    Guard& operator=(const Guard&) = delete;

   private:
    StallWatch& watch_;
  };
  Guard storing() { return Guard(*this); }

  bool has_cut() const;

 private:
  void begin();
  void end();
  void watch(std::stop_token stop);

  const int socket_fd_;
  const Milliseconds timeout_;
  mutable std::mutex mutex_;
  std::condition_variable_any changed_;
  std::optional<SteadyTime> storing_since_;
  bool has_cut_ = false;
  std::jthread thread_;  // last: it uses all of the above
};

}  // namespace pitr
