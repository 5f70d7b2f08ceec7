// What expire did or would do, and what a simulated policy keeps, as JSON. Pure functions.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "repository/expire/expire.h"
#include "retention/simulate.h"

namespace pitr {

nlohmann::json to_json(const ExpireReport& report, const std::string& cluster, bool is_dry_run);
nlohmann::json to_json(const SimulatedRetention& simulated);

}  // namespace pitr
