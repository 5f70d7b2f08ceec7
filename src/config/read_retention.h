// Reads a "retention" section: the one at the top, and those of clusters, which change single keys
// of it. Pure.
#pragma once

#include "config/config.h"
#include "config/problems.h"
#include "config/yaml_tree.h"

namespace pitr {

// into: what counts where a key isn't given.
void read_retention(const YamlNode& node, Problems& problems, RetentionConfig& into);

}  // namespace pitr
