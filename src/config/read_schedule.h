// Reads a "schedule" section: the one at the top, and those of clusters, which change single keys
// of it. Pure.
#pragma once

#include <string>

#include "config/config.h"
#include "config/problems.h"
#include "config/yaml_tree.h"

namespace pitr {

// into: what counts where a key isn't given.
void read_schedule(const YamlNode& node, Problems& problems, ScheduleConfig& into);

// "0 1 * * *", "every 6h", "never"
std::string schedule_text(const Schedule& schedule);

}  // namespace pitr
