// SIGINT and SIGTERM as a stop token. Create it before any other thread: it blocks both signals in
// the calling thread, and threads inherit that. A second signal ends the process at once.
#pragma once

#include <stop_token>
#include <thread>

#include "common/clock.h"

namespace pitr {

class StopSignals {
 public:
  // deadline: after the first signal the process is given so long, then it is ended with a message:
  // storage that hangs in the kernel can't be waited for.
  explicit StopSignals(Milliseconds deadline = Seconds(10));
  ~StopSignals();

  std::stop_token token() const { return stop_.get_token(); }
  // Blocks until a signal comes.
  void wait() const;

 private:
  void watch(std::stop_token end);

  const Milliseconds deadline_;
  std::stop_source stop_;
  std::jthread thread_;  // last: it uses all of the above
};

}  // namespace pitr
