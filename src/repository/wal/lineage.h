// How stored segments of several timelines continue one another. Reads only; thread-safe.
#pragma once

#include <optional>

#include "postgres/wal/decoder.h"
#include "repository/wal/wal_archive.h"

namespace pitr {

// For decoding segments of the timeline: with its history, where that is stored.
Result<wal::DecoderOptions> decoder_options(const WalArchive& archive, TimelineId timeline);

// What crosses the start of a segment, from the stored complete segments before it (as many as a
// record spans), on its own timeline or an ancestor's. nullopt where one of them isn't stored.
Result<std::optional<wal::Carry>> stored_carry_into(const WalArchive& archive, SegmentId segment);

// A timeline's first segment begins with a copy of what the ancestor wrote before the switch.
// kConflict where stored bytes of the ancestor differ from that.
Result<void> compare_with_ancestors(const WalArchive& archive, SegmentId segment, ByteView bytes);

}  // namespace pitr
