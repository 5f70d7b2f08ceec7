#include "programs/parse_arguments.h"

#include <algorithm>
#include <string>
#include <vector>

namespace pitr {

// "--reason=" becomes "--reason" and an empty value.
static std::vector<std::string> split_empty_values(int argc, char** argv) {
  std::vector<std::string> arguments;
  bool all_are_values = false;
  for (int i = 1; i < argc; ++i) {
    std::string argument = argv[i];
    all_are_values |= argument == "--";
    const bool is_empty = !all_are_values && argument.starts_with("--") && argument.ends_with("=");
    if (is_empty) argument.pop_back();
    arguments.push_back(std::move(argument));
    if (is_empty) arguments.emplace_back();
  }
  return arguments;
}

// A value that names an option was meant as that option. "--dry-run=x" is one, too.
static void refuse_options_as_values(const CLI::App& app) {
  for (const auto* option : app.get_options()) {
    for (const auto& value : option->results()) {
      const auto name = value.substr(0, value.find('='));
      if (!name.starts_with("-") || app.get_option_no_throw(name) == nullptr) continue;
      throw CLI::ArgumentMismatch(option->get_name() + " has no value: " + value + " follows it",
                                  CLI::ExitCodes::ArgumentMismatch);
    }
  }
  for (const auto* command : app.get_subcommands()) refuse_options_as_values(*command);
}

void parse_arguments(CLI::App& app, int argc, char** argv) {
  app.set_version_flag("--version", app.get_name() + " " + PITR_VERSION);
  auto arguments = split_empty_values(argc, argv);
  std::ranges::reverse(arguments);  // as CLI11 takes them
  app.parse(std::move(arguments));
  refuse_options_as_values(app);
}

}  // namespace pitr
