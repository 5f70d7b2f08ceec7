// Who may work on a cluster's backups now: one at a time, whether the schedule or an operator asked
// for it. Those who come meanwhile wait. Thread-safe; it must outlive its holders.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <utility>

#include "common/result.h"

namespace pitr {

class JobTurn {
 public:
  // While it lives, others wait.
  class Holder {
   public:
    Holder(Holder&& other) noexcept : turn_(std::exchange(other.turn_, nullptr)) {}
    Holder& operator=(Holder&&) = delete;
    ~Holder() {
      if (turn_) turn_->release();
    }

   private:
    friend class JobTurn;
    explicit Holder(JobTurn& turn) : turn_(&turn) {}
    JobTurn* turn_;
  };

  // Waits for it, and calls on_wait once, with what the other one does, before it waits.
  // kCancelled when a stop is asked for.
  Result<Holder> take(std::string what, std::stop_token stop,
                      const std::function<void(const std::string& other)>& on_wait = {});

 private:
  void release();

  std::mutex mutex_;
  std::condition_variable_any free_;
  std::optional<std::string> holder_;  // guarded: what it does
};

}  // namespace pitr
