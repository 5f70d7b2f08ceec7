// How the programs read their command lines: as CLI11 does, but one option is never taken for
// another one's value. CLI11 reads "--reason= --dry-run", as a script with an empty variable has
// it, as the reason "--dry-run", and so without a dry run.
#pragma once

#include <CLI/CLI.hpp>

namespace pitr {

// Gives the program --version as well. Throws what CLI11 throws.
void parse_arguments(CLI::App& app, int argc, char** argv);

}  // namespace pitr
