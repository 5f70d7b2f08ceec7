// What verification found, for people, from its JSON (agent/reports/verify_json.h). Pure.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

namespace pitr {

std::string verify_text(const nlohmann::json& report);

}  // namespace pitr
