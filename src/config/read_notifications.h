// Reads the section "notifications": a section for each destination, under its name. Pure.
#pragma once

#include "config/config.h"
#include "config/problems.h"
#include "config/yaml_tree.h"

namespace pitr {

// config: with its clusters, which a destination may be limited to.
std::vector<Destination> read_notifications(const YamlNode& node, const Config& config,
                                            Problems& problems);

}  // namespace pitr
