// What pitr-archive and pitr-wal-get share besides asking: messages, their options, absolute paths,
// and handing over to the full program. libc only; use from one thread.
#pragma once

#include <limits.h>

#include <string_view>

#include "programs/small/fixed_text.h"

namespace pitr {

using PathText = FixedText<PATH_MAX>;

// One line on standard error, which PostgreSQL puts into its log: "pitr-archive: …".
void complain(const char* program, std::string_view message, std::string_view detail = {});

// The value of "--name VALUE" or "--name=VALUE" at argv[i], which then stands on the last argument
// used; nullptr where argv[i] is something else. A missing value is "".
const char* option_value(char** argv, int& i, std::string_view name);

// From 1 to a day; 0 where `text` is not such a number.
int parse_timeout_s(std::string_view text);

// False where the path doesn't fit or the working directory is gone.
bool make_absolute(const char* path, PathText& into);

// Replaces this process by `program`, or where that is null by "pitr" beside the own executable,
// else by the one in PATH. argv[0] is filled in. Returns where that failed, with errno.
void run_full_program(const char* program, const char** argv);

}  // namespace pitr
