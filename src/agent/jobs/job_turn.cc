#include "agent/jobs/job_turn.h"

namespace pitr {

Result<JobTurn::Holder> JobTurn::take(
    std::string what, std::stop_token stop,
    const std::function<void(const std::string& other)>& on_wait) {
  std::unique_lock lock(mutex_);
  if (holder_ && on_wait) {
    const std::string other = *holder_;
    lock.unlock();
    on_wait(other);
    lock.lock();
  }
  if (!free_.wait(lock, stop, [&] { return !holder_.has_value(); })) {
    return Error::cancelled(what + " was stopped while it waited for " +
                            holder_.value_or("another job") + " to end");
  }
  holder_ = std::move(what);
  return Holder(*this);
}

void JobTurn::release() {
  {
    std::lock_guard lock(mutex_);
    holder_.reset();
  }
  free_.notify_all();
}

}  // namespace pitr
