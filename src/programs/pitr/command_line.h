// The arguments of pitr: which commands there are, what they take, and their help.
#pragma once

namespace pitr {

// Parses, runs the command, reports an error on standard error; the exit code (exit_codes.h).
int run_command_line(int argc, char** argv);

}  // namespace pitr
