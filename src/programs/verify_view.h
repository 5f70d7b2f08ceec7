// What verification found, for people and for tools. Pure functions.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "repository/verify/verify.h"

namespace pitr {

std::string verify_text(const VerifyReport& report, const std::string& cluster);
nlohmann::json to_json(const VerifyReport& report, const std::string& cluster);

}  // namespace pitr
