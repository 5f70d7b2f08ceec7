// Which database answers under a cluster's name, and which incarnation in the repository is its.
//
// A name belongs to the first database that was met under it. Another one (a new initdb, a
// pg_upgrade, or simply the wrong server) is taken up only where an operator says so, by pitr init.
// Thread-safe: functions only.
#pragma once

#include <cstdint>
#include <stop_token>
#include <string>

#include "common/clock.h"
#include "common/file.h"
#include "repository/incarnations.h"

namespace pitr {

struct ServerIdentity {
  std::uint64_t system_identifier = 0;
  std::uint32_t major_version = 0;
  SegmentSize segment_size;
};

// Over a replication connection, which is what streaming needs anyway.
Result<ServerIdentity> ask_server_identity(const std::string& conninfo, std::stop_token stop = {});
// From global/pg_control and PG_VERSION.
Result<ServerIdentity> read_directory_identity(const Path& data_directory);

enum class TakeUp {
  kFirst,    // the name's first database is registered, another one is refused (kConflict)
  kAnother,  // another one starts a new incarnation
};

// Registers the incarnation where that is allowed and it isn't yet.
Result<IncarnationStore> open_incarnation(Repository& repository, const std::string& cluster,
                                          const ServerIdentity& server, TakeUp take_up,
                                          const Clock& clock);

}  // namespace pitr
