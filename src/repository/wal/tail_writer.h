// The two ways to write a tail: into one object that grows, or as an object per append. See
// TailWriter in wal_archive.h for what they promise. One thread each.
#pragma once

#include <memory>

#include "repository/wal/wal_archive.h"

namespace pitr {

Result<std::unique_ptr<TailWriter>> make_tail_writer(const IncarnationStore& store,
                                                     SegmentId segment, std::uint32_t offset,
                                                     const WalArchive::Options& options);

}  // namespace pitr
