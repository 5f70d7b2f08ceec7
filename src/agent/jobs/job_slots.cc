#include "agent/jobs/job_slots.h"

namespace pitr {

Result<JobSlots::Holder> JobSlots::take(std::stop_token stop) {
  std::unique_lock lock(mutex_);
  if (!released_.wait(lock, stop, [&] { return free_ > 0; })) {
    return Error::cancelled("a job was stopped while it waited for jobs of other clusters to end");
  }
  --free_;
  return Holder(*this);
}

void JobSlots::release() {
  {
    std::lock_guard lock(mutex_);
    ++free_;
  }
  released_.notify_one();
}

}  // namespace pitr
