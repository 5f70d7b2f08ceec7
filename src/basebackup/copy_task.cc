#include "basebackup/copy_task.h"

#include <algorithm>

namespace pitr {

bool ReadCutter::next() {
  pieces_.clear();
  if (next_ == ranges_.size()) return false;
  const std::uint64_t start = ranges_[next_].offset + done_bytes_;
  const std::uint64_t limit = start + read_bytes_;
  std::uint64_t end = start;
  while (next_ < ranges_.size()) {
    const auto& range = ranges_[next_];
    const std::uint64_t from = range.offset + done_bytes_;
    if (from >= limit || from - end > gap_bytes_) break;
    const std::uint64_t to = std::min(range.end(), limit);
    pieces_.push_back({from, to - from});
    end = to;
    if (to < range.end()) {
      done_bytes_ += to - from;
      break;
    }
    ++next_;
    done_bytes_ = 0;
  }
  read_ = {start, end - start};
  return true;
}

}  // namespace pitr
