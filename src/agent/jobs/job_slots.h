// How many scheduled jobs an agent does at once, over all its clusters: after a night in which it
// was off, those of a whole fleet are due together, and each takes its workers' memory. What an
// operator asks for takes none. Thread-safe; it must outlive its holders.
#pragma once

#include <condition_variable>
#include <mutex>
#include <stop_token>
#include <utility>

#include "common/result.h"

namespace pitr {

class JobSlots {
 public:
  explicit JobSlots(unsigned count) : free_(count) {}

  class Holder {
   public:
    Holder(Holder&& other) noexcept : slots_(std::exchange(other.slots_, nullptr)) {}
    Holder& operator=(Holder&&) = delete;
    ~Holder() {
      if (slots_) slots_->release();
    }

   private:
    friend class JobSlots;
    explicit Holder(JobSlots& slots) : slots_(&slots) {}
    JobSlots* slots_;
  };

  // Waits for one. kCancelled when a stop is asked for.
  Result<Holder> take(std::stop_token stop);

 private:
  void release();

  std::mutex mutex_;
  std::condition_variable_any released_;
  unsigned free_;  // guarded
};

}  // namespace pitr
