// A YAML document as a tree that knows where everything stands, so that yaml-cpp's headers stay in
// one file and every message can name line and column. Values only.
//
// Only what a configuration needs: scalars, lists and mappings with scalar keys. Aliases, tags and
// further documents are reported as problems.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/problems.h"

namespace pitr {

struct YamlEntry;

struct YamlNode {
  enum class Kind { kNull, kScalar, kList, kMapping };
  Kind kind = Kind::kNull;
  Position position;
  std::string text;     // of a scalar
  bool quoted = false;  // "10" is text, 10 a number
  std::vector<YamlNode> items;
  std::vector<YamlEntry> entries;
};

struct YamlEntry {
  YamlNode key;
  YamlNode value;
};

// The document, or nullopt where it isn't YAML. A key that is given twice is a problem; its first
// value is in the tree. Nothing is in the tree for an empty file but a null.
std::optional<YamlNode> parse_yaml(std::string_view text, Problems& problems);

}  // namespace pitr
