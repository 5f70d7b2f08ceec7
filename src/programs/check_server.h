// The part of pitr check that asks one cluster's server, and looks at its data directory.
#pragma once

#include <optional>

#include "agent/server_identity.h"
#include "config/config.h"
#include "programs/findings.h"

namespace pitr {

// The server's identity, where it could be asked.
std::optional<ServerIdentity> check_server(const ClusterConfig& cluster, const Clock& clock,
                                           Findings& findings);

}  // namespace pitr
