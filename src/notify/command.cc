#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "common/file.h"
#include "common/retry.h"
#include "notify/transport.h"

namespace pitr {
namespace {

constexpr std::size_t kKeptOutput = 2048;
constexpr Milliseconds kLook{20};

// Ends the program with all that it started.
class Group {
 public:
  explicit Group(pid_t pid) : pid_(pid) {}
  Group(const Group&) = delete;
  Group& operator=(const Group&) = delete;
  ~Group() { end(); }
  // It stays a zombie, so that its number is nobody else's.
  bool has_ended() const {
    siginfo_t found{};
    return ::waitid(P_PID, static_cast<id_t>(pid_), &found, WEXITED | WNOHANG | WNOWAIT) == 0 &&
           found.si_pid == pid_;
  }
  // Its exit status, as waitpid() has it.
  int end() {
    if (std::exchange(is_reaped_, true)) return status_;
    ::kill(-pid_, SIGKILL);
    while (::waitpid(pid_, &status_, 0) < 0 && errno == EINTR) {
    }
    return status_;
  }

 private:
  const pid_t pid_;
  bool is_reaped_ = false;
  int status_ = 0;
};

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> all;
  for (auto& text : texts) all.push_back(text.data());
  all.push_back(nullptr);
  return all;
}

std::vector<std::string> environment_for(const Event& event) {
  std::vector<std::string> all;
  for (char** entry = environ; *entry != nullptr; ++entry) all.emplace_back(*entry);
  const auto set = [&](const char* name, std::string_view value) {
    const std::string text(value.substr(0, value.find('\0')));
    std::erase_if(all,
                  [&](const auto& entry) { return entry.starts_with(std::string(name) + "="); });
    all.push_back(fmt::format("{}={}", name, text));
  };
  set("PITR_EVENT", to_string(event.type));
  set("PITR_CLUSTER", event.cluster);
  set("PITR_SEVERITY", to_string(severity_of(event.type)));
  set("PITR_MESSAGE", event.message);
  return all;
}

// A file that is only in memory: a program that doesn't read it blocks nobody.
Result<UniqueFd> input_with(const std::string& text) {
  UniqueFd file(::memfd_create("pitr-event", MFD_CLOEXEC));
  if (!file || ::write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()) ||
      ::lseek(file.get(), 0, SEEK_SET) != 0) {
    return Error::from_errno(errno, "the event for the command");
  }
  return file;
}

Result<pid_t> spawn(std::vector<std::string> arguments, const Event& event, int input, int output) {
  auto environment = environment_for(event);
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_init(&actions);
  posix_spawnattr_init(&attributes);
  posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, output, STDERR_FILENO);
  // Signals as at a program's usual start: here some are blocked.
  sigset_t none, all;
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  posix_spawnattr_setflags(&attributes,
                           POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  pid_t pid = 0;
  const int failure = ::posix_spawn(&pid, arguments.front().c_str(), &actions, &attributes,
                                    pointers(arguments).data(), pointers(environment).data());
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  if (failure != 0) return Error::from_errno(failure, "starting " + arguments.front());
  return pid;
}

// What is there now, at most a pipe full: who never stops writing must not keep us from looking at
// the time. The first part is kept.
void read_some(int fd, std::string& output) {
  std::array<char, 4096> bytes{};
  ssize_t count = 0;
  for (int i = 0; i < 16 && (count = ::read(fd, bytes.data(), bytes.size())) > 0; ++i) {
    const auto room = kKeptOutput - std::min(kKeptOutput, output.size());
    output.append(bytes.data(), std::min(room, static_cast<std::size_t>(count)));
  }
}

std::string outcome_of(int status, const std::string& program, std::string output) {
  while (!output.empty() && output.back() == '\n') output.pop_back();
  const auto how = WIFEXITED(status) ? fmt::format("exits with {}", WEXITSTATUS(status))
                                     : fmt::format("was ended by signal {}", WTERMSIG(status));
  return fmt::format("{} {}{}{}", program, how, output.empty() ? "" : ": ", output);
}

class Command final : public Transport {
 public:
  explicit Command(const CommandOptions& options) : options_(options) {}

  Result<void> send(const Delivery& delivery, std::stop_token stop) override {
    const auto& program = options_.arguments.front();
    const auto input = TRY(input_with(to_json_text(delivery.event) + "\n"));
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) return Error::from_errno(errno, "making a pipe");
    const UniqueFd reading(ends[0]);
    UniqueFd writing(ends[1]);
    ::fcntl(reading.get(), F_SETFL, O_NONBLOCK);
    const auto pid = TRY(spawn(options_.arguments, delivery.event, input.get(), writing.get()));
    Group group(pid);
    writing.reset();
    std::string output;
    const auto deadline = std::chrono::steady_clock::now() + options_.timeout;
    while (!group.has_ended()) {
      read_some(reading.get(), output);
      if (std::chrono::steady_clock::now() >= deadline) {
        return Error::transient(fmt::format("{} takes longer than {} ms, and was killed", program,
                                            options_.timeout.count()));
      }
      if (!sleep_for(kLook, stop)) return Error::cancelled("a stop was asked for");
    }
    read_some(reading.get(), output);
    const int status = group.end();
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
    return Error::transient(outcome_of(status, program, std::move(output)));
  }

 private:
  const CommandOptions options_;
};

}  // namespace

std::unique_ptr<Transport> make_command(const CommandOptions& options) {
  return std::make_unique<Command>(options);
}

}  // namespace pitr
