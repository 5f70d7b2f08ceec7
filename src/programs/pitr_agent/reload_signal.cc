#include "programs/pitr_agent/reload_signal.h"

#include <signal.h>

namespace pitr {

static constexpr timespec kPollInterval{0, 200'000'000};

static sigset_t reload_signals() {
  sigset_t signals;
  ::sigemptyset(&signals);
  ::sigaddset(&signals, SIGHUP);
  return signals;
}

ReloadSignal::ReloadSignal() {
  const auto signals = reload_signals();
  ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
}

ReloadSignal::~ReloadSignal() {
  stop();
}

void ReloadSignal::start(std::function<void()> action) {
  action_ = std::move(action);
  thread_ = std::jthread([this](std::stop_token stop) {
    const auto signals = reload_signals();
    while (!stop.stop_requested()) {
      if (::sigtimedwait(&signals, nullptr, &kPollInterval) > 0) action_();
    }
  });
}

void ReloadSignal::stop() {
  thread_ = {};
}

}  // namespace pitr
