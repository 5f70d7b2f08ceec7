// Which databases a cluster's name stood for, and what must be known of one before its WAL can be
// read where no server can be asked: the segment size. One sealed object per incarnation,
// docs/repository-format.md, "Incarnations"; written once, at the first meeting with the server.
//
// Success of register_incarnation() means durable. Thread-safe, across machines too.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "common/clock.h"
#include "repository/repository.h"

namespace pitr {

struct RegisteredIncarnation {
  IncarnationId id;
  SegmentSize segment_size;
  Timestamp registered;
};

// Registering again is success. kConflict where it is registered with another segment size
// (pg_resetwal can change that; stored WAL could not be read any more).
Result<RegisteredIncarnation> register_incarnation(Repository& repository, const IncarnationId& id,
                                                   SegmentSize segment_size, const Clock& clock);

// nullopt where it was never registered.
Result<std::optional<RegisteredIncarnation>> registered_incarnation(Repository& repository,
                                                                    const IncarnationId& id);

// All of a cluster, in the order in which they were registered: the last one is the one that the
// name stands for now.
Result<std::vector<RegisteredIncarnation>> registered_incarnations(Repository& repository,
                                                                   std::string_view cluster);

// The last one, opened. kNotFound where the cluster has none.
Result<IncarnationStore> newest_incarnation(Repository& repository, std::string_view cluster);

}  // namespace pitr
