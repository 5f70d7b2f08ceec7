// From the YAML tree to Config: which keys there are, their types and ranges, and what cannot go
// together. Pure; everything wrong goes into `problems`, and the result counts only without any.
#pragma once

#include "config/config.h"
#include "config/problems.h"
#include "config/yaml_tree.h"

namespace pitr {

Config read_config(const YamlNode& root, Problems& problems);

}  // namespace pitr
