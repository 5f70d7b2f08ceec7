// Puts the streamed tails of one segment together: docs/repository-format.md, "WAL", has the rules.
// A free function over an IncarnationStore; keeps nothing.
#pragma once

#include <optional>
#include <string>

#include "repository/repository.h"

namespace pitr {

// What follows the last whole frame of a tail: an append that was interrupted before anybody was
// told that it's durable leaves that. Storage that loses the end of an object leaves the same.
struct TornEnd {
  std::string object;
  std::uint64_t size_bytes = 0;
};

struct TailChain {
  Bytes bytes;                  // [0, size) of the segment
  std::optional<TornEnd> torn;  // at the end of `bytes`, where no other tail goes on
  // Set where something is stored that can't be right and that nothing else makes up for: a broken
  // frame at the end of `bytes`, or whole frames behind a gap.
  std::optional<Error> damage;
  bool vanished = false;  // a tail was removed meanwhile: the complete segment may be there now
};

// kConflict where tails hold different bytes for the same place.
Result<TailChain> read_tail_chain(const IncarnationStore& store, SegmentId segment);

// The tails' names, ascending by offset.
Result<std::vector<ObjectKey>> list_tails(const IncarnationStore& store, SegmentId segment);

}  // namespace pitr
