// Forks and executes children for Subprocess, all from one thread that lives as long as the
// process: PR_SET_PDEATHSIG fires when the thread that forked ends, not when the process does.
// Thread-safe.
#pragma once

#include <sys/types.h>

#include <csignal>
#include <string>
#include <vector>

#include "common/result.h"

namespace pitr::test {

// Everything the child needs, made before fork(): between fork() and exec() of a process with
// threads only async-signal-safe calls are allowed.
struct ChildPlan {
  std::string program;
  std::vector<std::string> argv;
  std::vector<std::string> environment;
  std::string directory;
  int in = -1;
  int out = -1;
  int err = -1;
  int death_signal = SIGKILL;
  bool new_session = false;
};

// The pid, or why it could not be started (exec's own errors too).
Result<pid_t> spawn_child(ChildPlan& plan);

}  // namespace pitr::test
