// The part of a check that asks one cluster's server, and looks at its data directory.
#pragma once

#include <optional>
#include <stop_token>

#include "agent/checks/findings.h"
#include "agent/server_identity.h"
#include "config/config.h"

namespace pitr {

// The server's identity, where it could be asked.
std::optional<ServerIdentity> check_server(const ClusterConfig& cluster, const Clock& clock,
                                           std::stop_token stop, Findings& findings);

}  // namespace pitr
