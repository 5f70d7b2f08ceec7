#include "programs/stop_signals.h"

#include <signal.h>
#include <unistd.h>

#include <condition_variable>
#include <mutex>

#include "common/log.h"
#include "common/retry.h"

namespace pitr {

static constexpr int kExitForced = 8;  // as kCancelled, see exit_codes.h
static constexpr timespec kPollInterval{0, 200'000'000};

static sigset_t stop_signals() {
  sigset_t signals;
  ::sigemptyset(&signals);
  ::sigaddset(&signals, SIGINT);
  ::sigaddset(&signals, SIGTERM);
  return signals;
}

static bool wait_for_signal(const sigset_t& signals) {
  return ::sigtimedwait(&signals, nullptr, &kPollInterval) > 0;
}

void StopSignals::end_now(std::string_view reason) const {
  log::error("{}. {}", reason, last_words_());
  ::_exit(kExitForced);
}

StopSignals::StopSignals(Milliseconds deadline, LastWords last_words)
    : deadline_(deadline), last_words_(std::move(last_words)) {
  const auto signals = stop_signals();
  ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  thread_ = std::jthread([this](std::stop_token end) { watch(end); });
}

// Wakes the thread, so that a program that is done needn't wait for its next look.
StopSignals::~StopSignals() {
  thread_.request_stop();
  // NOLINTNEXTLINE(bugprone-bad-signal-to-kill-thread): blocked, it ends the wait and nothing else
  ::pthread_kill(thread_.native_handle(), SIGTERM);
}

void StopSignals::watch(std::stop_token end) {
  const auto signals = stop_signals();
  while (!wait_for_signal(signals)) {
    if (end.stop_requested()) return;
  }
  if (end.stop_requested()) return;
  stop_.request_stop();
  const auto give_up = std::chrono::steady_clock::now() + deadline_;
  while (!end.stop_requested()) {
    const bool again = wait_for_signal(signals);
    if (end.stop_requested()) return;
    if (again) end_now("ended by a second signal");
    if (std::chrono::steady_clock::now() >= give_up) {
      end_now("something does not end, storage most likely; ended by force");
    }
  }
}

void StopSignals::wait() const {
  std::mutex mutex;
  std::condition_variable_any never;
  std::unique_lock lock(mutex);
  never.wait(lock, stop_.get_token(), [] { return false; });
}

}  // namespace pitr
