// A small set of 32-bit transaction ids that never forgets one, but may hold some that were never
// added: at most kMaxRanges disjoint ranges, the closest of which are joined when there would be
// more. The xids that end in one WAL segment are nearly consecutive, so it is nearly exact; a
// wraparound is only one more range, because ids are plain numbers here. A Bloom filter would
// need ten bits for each. A value; not thread-safe.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

namespace pitr::wal {

struct XidRange {
  std::uint32_t min = 0;
  std::uint32_t max = 0;  // >= min
  friend bool operator==(const XidRange&, const XidRange&) = default;
};

class XidRanges {
 public:
  static constexpr std::size_t kMaxRanges = 32;

  XidRanges() = default;
  // Ascending and disjoint, kMaxRanges at most.
  explicit XidRanges(std::vector<XidRange> ranges) : ranges_(std::move(ranges)) {}

  void add(std::uint32_t xid);
  // For an xid that could not be read: from now on the set holds every xid.
  void add_unknown();

  bool may_hold(std::uint32_t xid) const;
  const std::vector<XidRange>& ranges() const { return ranges_; }  // ascending, disjoint

  friend bool operator==(const XidRanges&, const XidRanges&) = default;

 private:
  void join_closest();
  std::vector<XidRange> ranges_;
};

}  // namespace pitr::wal
