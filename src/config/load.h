// Finds, reads and validates the configuration file (YAML; packaging/pitr.yaml is the reference).
//
// Validation is strict: unknown and repeated keys, wrong types, missing units and impossible values
// or combinations are refused. The Error (kInvalid) lists every problem, one a line, in file order:
//   /etc/pitr/pitr.yaml:7:5: unknown key "comprezzion"; did you mean "compression"?
// Pure functions apart from reading the file and the environment; thread-safe.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "common/file.h"
#include "common/result.h"
#include "config/config.h"

namespace pitr {

struct ConfigSearch {
  std::optional<Path> from_option;  // --config
  // Asks for an environment variable; the process's own by default.
  std::function<std::optional<std::string>(const char* name)> environment = process_environment;
  Path system_file = "/etc/pitr/pitr.yaml";

  static std::optional<std::string> process_environment(const char* name);
};

// --config, else PITR_CONFIG (either is taken as it is), else the first that exists of
// /etc/pitr/pitr.yaml and $XDG_CONFIG_HOME/pitr/pitr.yaml (~/.config). kNotFound where there is
// none.
Result<Path> find_config_file(const ConfigSearch& search = {});

Result<Config> load_config(const Path& file);

// `file_name` is only for messages.
Result<Config> parse_config(std::string_view yaml, std::string_view file_name);

}  // namespace pitr
