// What differs between the configuration that an agent runs with and the one in the file now. Pure.
#pragma once

#include <string>
#include <vector>

#include "config/config.h"

namespace pitr {

struct ConfigChanges {
  // Keys, as "clusters.main.retention".
  std::vector<std::string> taken_over;    // count from now on
  std::vector<std::string> need_restart;  // of the agent
};

ConfigChanges compare_configs(const Config& running, const Config& file);

}  // namespace pitr
