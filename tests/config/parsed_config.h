// What a test of one section wants of a configuration: its values, or what is wrong with it.
#pragma once

#include "config/load.h"

namespace pitr::test {

inline Config parsed(std::string_view yaml) {
  auto config = parse_config(yaml, "f");
  if (!config) {
    ADD_FAILURE() << config.error().message();
    return {};
  }
  return *config;
}

inline std::string problems_of(std::string_view yaml) {
  const auto config = parse_config(yaml, "f");
  return config ? "(accepted)" : config.error().message();
}

}  // namespace pitr::test
