// What nothing is expected to throw, such as a lack of memory, ends a program with one line and the
// exit code of a bug instead of an abort. Not for what PostgreSQL runs: to it, that code says more.
#pragma once

#include <cstdio>
#include <exception>

#include "programs/exit_codes.h"

namespace pitr {

template <typename Main>
int guarded_main(const char* program, const Main& main) noexcept {
  try {
    return main();
  } catch (const std::exception& exception) {
    std::fprintf(stderr, "%s: unexpected: %s\n", program, exception.what());
    return exit_code(ErrorKind::kInternal);
  }
}

}  // namespace pitr
