// Runs a program to its end and says how it ended. POSIX only; environment and working directory
// are the child's own.
#pragma once

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "common/file.h"

namespace pitr {

struct Finished {
  int exit_code = -1;  // -1 after a signal
  int signal = 0;
  std::string standard_error;
};

class RunningProgram {
 public:
  RunningProgram(std::vector<std::string> arguments, const Path& directory,
                 std::vector<std::string> environment)
      : error_file_(directory / "stderr") {
    std::vector<char*> argv, envp;
    for (auto& argument : arguments) argv.push_back(argument.data());
    for (auto& variable : environment) envp.push_back(variable.data());
    argv.push_back(nullptr);
    envp.push_back(nullptr);
    pid_ = ::fork();
    if (pid_ != 0) return;
    const int fd = ::open(error_file_.c_str(), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
    if (::chdir(directory.c_str()) == 0 && ::dup2(fd, STDERR_FILENO) >= 0) {
      ::execve(argv[0], argv.data(), envp.data());
    }
    ::_exit(99);
  }

  void send_signal(int number) { ::kill(pid_, number); }

  Finished wait() {
    int status = 0;
    ::waitpid(pid_, &status, 0);
    Finished finished;
    if (WIFEXITED(status)) finished.exit_code = WEXITSTATUS(status);
    if (WIFSIGNALED(status)) finished.signal = WTERMSIG(status);
    finished.standard_error = read_text_file(error_file_).value_or("");
    return finished;
  }

 private:
  const Path error_file_;
  pid_t pid_ = -1;
};

}  // namespace pitr
