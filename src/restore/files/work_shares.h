// Shares numbered work among threads so that each has a range of neighbours to itself: two threads
// in one file wait for its lock, and neighbours in a pack mostly belong to one file. Who is done
// with its own range helps with the others'.
#pragma once

#include <atomic>
#include <cstddef>
#include <functional>
#include <optional>
#include <vector>

#include "common/result.h"

namespace pitr {

// Thread-safe.
class WorkShares {
 public:
  WorkShares(std::size_t count, unsigned workers);

  // The next item for this worker; nothing once all are taken, or after stop().
  std::optional<std::size_t> next(unsigned worker);
  void stop() { stopped_ = true; }

 private:
  struct alignas(64) Share {
    std::atomic<std::size_t> next = 0;
    std::size_t end = 0;
  };
  std::vector<Share> shares_;
  std::atomic<bool> stopped_ = false;
};

// Runs `work` once per worker (1 to 64 threads) and waits for all. The first error stops the rest
// and is returned.
Result<void> share_work(std::size_t count, unsigned workers,
                        const std::function<Result<void>(WorkShares&, unsigned worker)>& work);

}  // namespace pitr
