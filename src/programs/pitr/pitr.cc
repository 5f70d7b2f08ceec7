// pitr: the command line for operators and scripts. Its commands are in cmd_*.cc, what they take in
// command_line.cc.
#include <cstring>

#include "programs/guarded_main.h"
#include "programs/pitr/command_line.h"
#include "programs/wal_serve.h"

int main(int argc, char** argv) {
  // These two are run by pitr-wal-get and by restores, and have exit codes of their own.
  if (argc > 1 &&
      (std::strcmp(argv[1], "wal-get") == 0 || std::strcmp(argv[1], "wal-serve") == 0)) {
    return pitr::run_wal_command({argv + 1, argv + argc});
  }
  return pitr::guarded_main("pitr", [&] { return pitr::run_command_line(argc, argv); });
}
