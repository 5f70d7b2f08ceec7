// Work on numbered things by several threads.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <thread>
#include <vector>

namespace pitr {

// Calls work(number) once for each number below count. Returns when all is done.
template <typename Work>
void work_in_parallel(std::size_t count, unsigned workers, const Work& work) {
  std::atomic<std::size_t> next = 0;
  const auto run = [&] {
    for (auto i = next++; i < count; i = next++) work(i);
  };
  std::vector<std::jthread> threads;
  for (std::size_t i = 1; i < std::min<std::size_t>(workers, count); ++i) threads.emplace_back(run);
  run();
}

}  // namespace pitr
