#include "restore/files/work_shares.h"

#include <algorithm>
#include <mutex>
#include <thread>

namespace pitr {

static constexpr unsigned kMostWorkers = 64;

WorkShares::WorkShares(std::size_t count, unsigned workers) : shares_(workers) {
  const auto each = count / workers;
  const auto longer = count % workers;  // so many shares have one more
  std::size_t begin = 0;
  for (std::size_t i = 0; i < workers; ++i) {
    shares_[i].next = begin;
    begin += each + (i < longer ? 1 : 0);
    shares_[i].end = begin;
  }
}

std::optional<std::size_t> WorkShares::next(unsigned worker) {
  for (std::size_t i = 0; i < shares_.size() && !stopped_; ++i) {
    auto& share = shares_[(worker + i) % shares_.size()];
    if (share.next >= share.end) continue;  // keeps the counter from running away
    const auto item = share.next++;
    if (item < share.end) return item;
  }
  return std::nullopt;
}

Result<void> share_work(std::size_t count, unsigned workers,
                        const std::function<Result<void>(WorkShares&, unsigned worker)>& work) {
  const auto thread_count = std::clamp(workers, 1u, kMostWorkers);
  WorkShares shares(count, thread_count);
  std::mutex mutex;
  std::optional<Error> first_error;  // guarded
  {
    std::vector<std::jthread> threads;
    for (unsigned worker = 0; worker < thread_count; ++worker) {
      threads.emplace_back([&, worker] {
        auto result = work(shares, worker);
        if (result) return;
        shares.stop();
        std::lock_guard lock(mutex);
        if (!first_error) first_error = std::move(result).error();
      });
    }
  }
  if (first_error) return std::move(*first_error);
  return {};
}

}  // namespace pitr
