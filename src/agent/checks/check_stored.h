// The parts of a check that look at the repository, and at what the agent says of its streaming.
// Functions only; thread-safe.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "agent/checks/findings.h"
#include "agent/server_identity.h"
#include "config/config.h"

namespace pitr {

struct SeenStreaming {
  std::string state;  // as WalReceiverState's name; empty: there is no receiver yet
  std::string last_error;
  std::uint64_t lag_bytes = 0;
};
void check_streaming(const SeenStreaming& seen, Findings& findings);

// Writes, reads and removes an object, and looks at the room that is left.
void check_storage(Storage& storage, const Clock& clock, Findings& findings);

// Backups and WAL of the cluster. server: where it could be asked.
void check_stored(Repository& repository, const ClusterConfig& cluster,
                  const std::optional<ServerIdentity>& server, const Clock& clock,
                  Findings& findings);

}  // namespace pitr
