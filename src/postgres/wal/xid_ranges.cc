#include "postgres/wal/xid_ranges.h"

#include <algorithm>
#include <limits>

namespace pitr::wal {

void XidRanges::add(std::uint32_t xid) {
  auto next = std::ranges::upper_bound(ranges_, xid, {}, &XidRange::min);
  if (next != ranges_.begin()) {
    auto& before = *std::prev(next);
    if (xid <= before.max) return;
    if (xid == before.max + 1) {  // cannot wrap: xid is above max
      before.max = xid;
      if (next != ranges_.end() && next->min - 1 == xid) {
        before.max = next->max;
        ranges_.erase(next);
      }
      return;
    }
  }
  if (next != ranges_.end() && next->min - 1 == xid) {
    next->min = xid;
    return;
  }
  ranges_.insert(next, {xid, xid});
  if (ranges_.size() > kMaxRanges) join_closest();
}

void XidRanges::add_unknown() {
  ranges_ = {{0, std::numeric_limits<std::uint32_t>::max()}};
}

bool XidRanges::may_hold(std::uint32_t xid) const {
  const auto next = std::ranges::upper_bound(ranges_, xid, {}, &XidRange::min);
  return next != ranges_.begin() && xid <= std::prev(next)->max;
}

void XidRanges::join_closest() {
  std::size_t closest = 1;
  for (std::size_t i = 2; i < ranges_.size(); ++i) {
    if (ranges_[i].min - ranges_[i - 1].max < ranges_[closest].min - ranges_[closest - 1].max) {
      closest = i;
    }
  }
  ranges_[closest - 1].max = ranges_[closest].max;
  ranges_.erase(ranges_.begin() + static_cast<std::ptrdiff_t>(closest));
}

}  // namespace pitr::wal
