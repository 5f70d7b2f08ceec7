// A cluster's status as people read it, from its JSON (agent/reports/status_json.h). Pure.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

namespace pitr {

// agent_trouble: why no agent answered, where none did.
std::string describe_status(const nlohmann::json& status, const std::string& agent_trouble);

// It is streamed, can be restored up to now, no job failed last, and no check found a problem.
bool is_well(const nlohmann::json& status);

}  // namespace pitr
