#include "config/load.h"

#include <fmt/format.h>

#include <cstdlib>

#include "config/problems.h"
#include "config/read_config.h"
#include "config/yaml_tree.h"

namespace pitr {
namespace {

constexpr std::uint64_t kLargestFileBytes = 1 << 20;

}  // namespace

std::optional<std::string> ConfigSearch::process_environment(const char* name) {
  const char* value = std::getenv(name);
  if (!value) return std::nullopt;
  return std::string(value);
}

Result<Path> find_config_file(const ConfigSearch& search) {
  if (search.from_option) return *search.from_option;
  // As the XDG base directory specification has it, empty counts as unset.
  const auto variable = [&](const char* name) { return search.environment(name).value_or(""); };
  if (const auto named = variable("PITR_CONFIG"); !named.empty()) return Path(named);
  std::vector<Path> places{search.system_file};
  if (const auto xdg = variable("XDG_CONFIG_HOME"); !xdg.empty()) {
    places.push_back(Path(xdg) / "pitr" / "pitr.yaml");
  } else if (const auto home = variable("HOME"); !home.empty()) {
    places.push_back(Path(home) / ".config" / "pitr" / "pitr.yaml");
  }
  std::string tried;
  for (const auto& place : places) {
    std::error_code failure;
    // A file that may not be looked at is taken: reading it gives the reason.
    if (std::filesystem::exists(place, failure) || failure) return place;
    tried += (tried.empty() ? "" : ", ") + place.string();
  }
  return Error::not_found(fmt::format("there is no configuration file (looked for {})", tried))
      .with_hint("name one with --config or PITR_CONFIG");
}

Result<Config> load_config(const Path& file) {
  const auto text =
      TRY(with_context(read_text_file(file, kLargestFileBytes), "reading the configuration"));
  return parse_config(text, file.string());
}

Result<Config> parse_config(std::string_view yaml, std::string_view file_name) {
  Problems problems;
  const auto root = parse_yaml(yaml, problems);
  if (!root) return problems.to_error(file_name);
  auto config = read_config(*root, problems);
  if (!problems.empty()) return problems.to_error(file_name);
  return config;
}

}  // namespace pitr
