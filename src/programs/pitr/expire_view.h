// What pitr expire and pitr retention print for people, from its JSON
// (agent/reports/expire_json.h). Pure.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "common/time_zone.h"

namespace pitr {

// Times in the policy's zone, which is what days and weeks are counted in.
std::string expire_text(const nlohmann::json& report, const TimeZone& zone);
std::string simulation_text(const nlohmann::json& simulated, const TimeZone& zone);

}  // namespace pitr
