#include "walreceiver/segment_counts.h"

namespace pitr {

SegmentOutcome segment_outcome(const Result<PutOutcome>& outcome) {
  if (outcome) {
    return *outcome == PutOutcome::kAlreadyThere ? SegmentOutcome::kAlreadyThere
                                                 : SegmentOutcome::kStored;
  }
  switch (outcome.error().kind()) {
    case ErrorKind::kInvalid:
    case ErrorKind::kConflict:
      return SegmentOutcome::kRefused;
    case ErrorKind::kCorrupt:
      return SegmentOutcome::kDamaged;
    default:
      return SegmentOutcome::kFailed;
  }
}

void SegmentCounts::add(SegmentWay way, const Result<PutOutcome>& outcome) {
  const auto what = segment_outcome(outcome);
  ++counts_[static_cast<std::size_t>(way)][static_cast<std::size_t>(what)];
}

std::uint64_t SegmentCounts::count(SegmentWay way, SegmentOutcome outcome) const {
  return counts_[static_cast<std::size_t>(way)][static_cast<std::size_t>(outcome)];
}

std::string_view to_string(SegmentWay way) {
  return way == SegmentWay::kStreamed ? "streamed" : "archived";
}

std::string_view to_string(SegmentOutcome outcome) {
  switch (outcome) {
    case SegmentOutcome::kStored:
      return "stored";
    case SegmentOutcome::kAlreadyThere:
      return "already_there";
    case SegmentOutcome::kRefused:
      return "refused";
    case SegmentOutcome::kDamaged:
      return "damaged";
    case SegmentOutcome::kFailed:
      return "failed";
  }
  return "unknown";
}

}  // namespace pitr
