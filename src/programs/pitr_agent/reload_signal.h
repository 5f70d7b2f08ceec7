// SIGHUP as a call. Create it before any other thread, as StopSignals: it blocks the signal in the
// calling thread, and threads inherit that.
#pragma once

#include <functional>
#include <thread>

namespace pitr {

class ReloadSignal {
 public:
  ReloadSignal();
  ~ReloadSignal();
  // From now on `action` is called for each signal, on a thread of its own, one call at a time;
  // one that came before counts.
  void start(std::function<void()> action);
  // No call is under way when it returns, and none comes.
  void stop();

 private:
  std::function<void()> action_;
  std::jthread thread_;  // last: it uses the above
};

}  // namespace pitr
