// What verification found, as JSON. Pure.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "repository/verify/verify.h"

namespace pitr {

nlohmann::json to_json(const VerifyReport& report, const std::string& cluster);

}  // namespace pitr
