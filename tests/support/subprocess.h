// A child process that never outlives the test.
//
// Owned by one thread at a time. The destructor kills it with SIGKILL and waits; when the test
// process itself dies, the kernel sends the child its death signal (PR_SET_PDEATHSIG). That signal
// belongs to the thread that forked, so all children are forked by one thread that lives as long
// as the process. Signals go to the process by pid, before it has been waited for: never to a pid
// that was reused.
#pragma once

#include <sys/types.h>

#include <csignal>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/clock.h"
#include "common/file.h"
#include "common/result.h"

namespace pitr::test {

struct SubprocessOptions {
  std::map<std::string, std::string> environment = {};  // added to this process's own
  std::optional<Path> working_directory = {};
  std::string input = {};                // its standard input; then end of file
  std::optional<Path> output_file = {};  // both outputs are appended here instead of captured
  int death_signal = SIGKILL;            // when the test process dies
  bool new_session = false;              // setsid(): Ctrl-C in the terminal does not reach it
};

struct ExitStatus {
  int exit_code = 0;  // 128 + signal when killed by one
  int signal = 0;     // 0: exited by itself
  bool success() const { return exit_code == 0; }
};

struct CommandOutput {
  ExitStatus status;
  std::string out;
  std::string err;
};

class Subprocess {
 public:
  // argv[0] is looked up in PATH when it has no slash.
  static Result<Subprocess> start(const std::vector<std::string>& argv,
                                  const SubprocessOptions& options = {});
  Subprocess(Subprocess&& other) noexcept;
  Subprocess& operator=(Subprocess&& other) noexcept;
  ~Subprocess();

  pid_t pid() const { return pid_; }
  bool running();
  // Does nothing once the process has been waited for.
  void signal(int signal_number);
  // kTransient when the time is over; the process runs on.
  Result<ExitStatus> wait(Milliseconds timeout = Seconds(60));
  // SIGKILL, and waits.
  void kill();

  // What it wrote so far; whole after wait().
  std::string out() const;
  std::string err() const;

 private:
  explicit Subprocess(pid_t pid) : pid_(pid) {}
  void poll_status(bool block);

  pid_t pid_ = -1;
  std::optional<ExitStatus> status_;
  UniqueFd out_;  // memory files that the child writes
  UniqueFd err_;
};

// Runs to the end. Any exit status is a success here; kTransient when the time is over.
Result<CommandOutput> run_command(const std::vector<std::string>& argv,
                                  const SubprocessOptions& options = {},
                                  Milliseconds timeout = Seconds(120));
// Exit status other than 0 is kInvalid with the command and its error output. Gives standard
// output.
Result<std::string> run_successfully(const std::vector<std::string>& argv,
                                     const SubprocessOptions& options = {},
                                     Milliseconds timeout = Seconds(120));

}  // namespace pitr::test
