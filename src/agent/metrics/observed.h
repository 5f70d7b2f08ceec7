// The last value that a background thread found, for scrapes that must not wait for it: with when
// it was found, and whether the source answers now. A look that hangs makes the value stale and the
// source "down"; nothing else. Thread-safe.
#pragma once

#include <memory>
#include <mutex>

#include "common/clock.h"
#include "common/result.h"

namespace pitr {

template <typename T>
class Observed {
 public:
  struct View {
    std::shared_ptr<const T> value;  // null: never found yet
    Timestamp refreshed;             // when `value` was found
    bool up = false;                 // the last look succeeded, and none has hung for `patience`
  };

  explicit Observed(Milliseconds patience) : patience_(patience) {}

  // One look: what it gives is kept, unless it failed.
  template <typename Look>
  void refresh(const Clock& clock, Look&& look) {
    begin(clock.steady_now());
    Result<T> found = look();
    end(std::move(found), clock.now());
  }

  View view(SteadyTime now) const {
    std::lock_guard lock(mutex_);
    const bool hangs = is_looking_ && now - began_ > patience_;
    return {value_, refreshed_, succeeded_ && !hangs};
  }

 private:
  void begin(SteadyTime now) {
    std::lock_guard lock(mutex_);
    is_looking_ = true;
    began_ = now;
  }
  void end(Result<T> found, Timestamp now) {
    std::lock_guard lock(mutex_);
    is_looking_ = false;
    succeeded_ = found.has_value();
    if (!found) return;
    value_ = std::make_shared<const T>(std::move(*found));
    refreshed_ = now;
  }

  const Milliseconds patience_;
  mutable std::mutex mutex_;
  std::shared_ptr<const T> value_;
  Timestamp refreshed_;
  bool succeeded_ = false;
  bool is_looking_ = false;
  SteadyTime began_;
};

}  // namespace pitr
