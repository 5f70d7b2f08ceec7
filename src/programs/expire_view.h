// What pitr expire and pitr retention print: JSON, and the table of it for people. Pure.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "common/time_zone.h"
#include "repository/expire/expire.h"
#include "retention/simulate.h"

namespace pitr {

nlohmann::json to_json(const ExpireReport& report, const std::string& cluster, bool is_dry_run);
// Times in the policy's zone, which is what days and weeks are counted in.
std::string expire_text(const ExpireReport& report, const std::string& cluster, bool is_dry_run,
                        const TimeZone& zone);

nlohmann::json to_json(const SimulatedRetention& simulated);
std::string simulation_text(const SimulatedRetention& simulated, const TimeZone& zone);

}  // namespace pitr
