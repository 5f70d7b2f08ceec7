// Reads an "objectives" section: the one at the top, and those of clusters, which change single
// keys of it. Pure.
#pragma once

#include "config/config.h"
#include "config/problems.h"
#include "config/yaml_tree.h"

namespace pitr {

// into: what counts where a key isn't given.
void read_objectives(const YamlNode& node, Problems& problems, ObjectivesConfig& into);

}  // namespace pitr
