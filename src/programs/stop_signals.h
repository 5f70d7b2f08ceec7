// SIGINT and SIGTERM as a stop token. Create it before any other thread: it blocks both signals in
// the calling thread, and threads inherit that. A second signal ends the process at once.
#pragma once

#include <functional>
#include <stop_token>
#include <string>
#include <thread>

#include "common/clock.h"

namespace pitr {

class StopSignals {
 public:
  // Called when the process is ended by force, on a thread of its own: what to tell the operator.
  using LastWords = std::function<std::string()>;

  // deadline: after the first signal the process is given so long, then it is ended with a message:
  // storage that hangs in the kernel can't be waited for.
  explicit StopSignals(Milliseconds deadline = Seconds(10), LastWords last_words = nothing_is_lost);
  ~StopSignals();

  std::stop_token token() const { return stop_.get_token(); }
  // Blocks until a signal comes.
  void wait() const;

 private:
  static std::string nothing_is_lost() { return "Nothing that was acknowledged is lost"; }
  void watch(std::stop_token end);
  [[noreturn]] void end_now(std::string_view reason) const;

  const Milliseconds deadline_;
  const LastWords last_words_;
  std::stop_source stop_;
  std::jthread thread_;  // last: it uses all of the above
};

}  // namespace pitr
