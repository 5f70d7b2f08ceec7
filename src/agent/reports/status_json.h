// JSON of what the agent and the command line tell. Member names are stable. LSNs and 64-bit
// identifiers are strings, times are UTC as to_string(Timestamp) writes them, sizes are numbers of
// bytes, what isn't known is null. Pure functions.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "agent/reports/status.h"

namespace pitr {

nlohmann::json to_json(const BackupManifest& manifest);
nlohmann::json to_json(const ClusterStatus& status);
// What can be restored: recovery windows, and the newest watermark.
nlohmann::json recovery_window_json(const std::string& cluster, const RepositoryReport& report);

// What an agent sent. kCorrupt where it isn't JSON.
Result<nlohmann::json> parse_json(std::string_view text);

}  // namespace pitr
