#include "programs/confirm.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>

namespace pitr {

Result<void> confirm(std::string_view question, const std::string& what) {
  if (::isatty(STDIN_FILENO) != 1) {
    return Error::invalid(what + " is asked before, and there is no terminal")
        .with_hint("say --yes");
  }
  fmt::print(stderr, "{} Type \"yes\" to go on: ", question);
  std::fflush(stderr);
  char answer[16] = {};
  const bool is_yes =
      std::fgets(answer, sizeof answer, stdin) && answer == std::string_view("yes\n");
  return is_yes ? Result<void>() : Error::cancelled("nothing was touched");
}

}  // namespace pitr
