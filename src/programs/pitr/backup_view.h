// Backups as people read them, from their JSON (agent/reports/status_json.h). Pure functions.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

namespace pitr {

std::string list_backups(const nlohmann::json& backups);        // a table
std::string describe_backup(const nlohmann::json& backup);      // all of it
std::string describe_new_backup(const nlohmann::json& backup);  // two lines when it was taken

}  // namespace pitr
