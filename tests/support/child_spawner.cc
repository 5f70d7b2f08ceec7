#include "support/child_spawner.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>

#include "common/file.h"

namespace pitr::test {
namespace {

std::vector<char*> pointers(std::vector<std::string>& strings) {
  std::vector<char*> result;
  for (auto& string : strings) result.push_back(string.data());
  result.push_back(nullptr);
  return result;
}

[[noreturn]] void become_program(const ChildPlan& plan, char** argv, char** environment,
                                 pid_t parent, int error_fd) {
  prctl(PR_SET_PDEATHSIG, plan.death_signal);
  if (getppid() != parent) _exit(127);  // died before the line above
  if (plan.new_session) setsid();
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  const bool ready = dup2(plan.in, 0) >= 0 && dup2(plan.out, 1) >= 0 && dup2(plan.err, 2) >= 0 &&
                     (plan.directory.empty() || chdir(plan.directory.c_str()) == 0);
  if (ready) execve(plan.program.c_str(), argv, environment);
  const int error_number = errno;
  [[maybe_unused]] const auto written = write(error_fd, &error_number, sizeof error_number);
  _exit(127);
}

// The pid, or the errno of what failed up to and with exec().
Result<pid_t> fork_child(ChildPlan& plan) {
  auto argv = pointers(plan.argv);
  auto environment = pointers(plan.environment);
  int pipe_fds[2];
  if (pipe2(pipe_fds, O_CLOEXEC) != 0) return Error::from_errno(errno, "pipe");
  UniqueFd reader(pipe_fds[0]);
  UniqueFd writer(pipe_fds[1]);
  const pid_t parent = getpid();
  const pid_t pid = fork();
  if (pid < 0) return Error::from_errno(errno, "fork");
  if (pid == 0) become_program(plan, argv.data(), environment.data(), parent, writer.get());
  writer.reset();
  int error_number = 0;
  if (read(reader.get(), &error_number, sizeof error_number) == sizeof error_number) {
    waitpid(pid, nullptr, 0);
    return Error::from_errno(error_number, "starting " + plan.program);
  }
  return pid;
}

// The one thread that forks. Never ends, never destroyed.
class Spawner {
 public:
  static Spawner& instance() {
    static auto* spawner = new Spawner;
    return *spawner;
  }

  Result<pid_t> spawn(ChildPlan& plan) {
    const std::scoped_lock one_at_a_time(callers_);
    std::unique_lock lock(mutex_);
    result_.reset();
    plan_ = &plan;
    changed_.notify_all();
    changed_.wait(lock, [&] { return result_.has_value(); });
    return *result_;
  }

 private:
  Spawner() {
    std::thread([this] { serve(); }).detach();
  }

  void serve() {
    std::unique_lock lock(mutex_);
    while (true) {
      changed_.wait(lock, [&] { return plan_ != nullptr; });
      result_ = fork_child(*plan_);
      plan_ = nullptr;
      changed_.notify_all();
    }
  }

  std::mutex callers_;
  std::mutex mutex_;
  std::condition_variable changed_;
  ChildPlan* plan_ = nullptr;
  std::optional<Result<pid_t>> result_;
};

}  // namespace

Result<pid_t> spawn_child(ChildPlan& plan) {
  return Spawner::instance().spawn(plan);
}

}  // namespace pitr::test
