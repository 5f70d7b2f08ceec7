#include "codec/secret_source.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <optional>

#include "codec/keyring.h"
#include "common/file.h"
#include "common/retry.h"

namespace pitr {

static constexpr std::size_t kTextLimit = 4096;
static constexpr Milliseconds kLook{100};  // for a stop, while a command runs

SecretText::SecretText(SecretText&& other) noexcept : text_(other.text_) {
  wipe(other.text_);
  other.text_.clear();
}

SecretText& SecretText::operator=(SecretText&& other) noexcept {
  if (this == &other) return *this;
  wipe(text_);
  text_ = other.text_;
  wipe(other.text_);
  other.text_.clear();
  return *this;
}

SecretText::~SecretText() {
  wipe(text_);
}

namespace {
// A child process that does not outlive its owner.
class Child {
 public:
  explicit Child(pid_t pid) : pid_(pid) {}
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() {
    if (pid_ <= 0) return;
    ::kill(-pid_, SIGKILL);
    int status = 0;
    while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
  }
  // nullopt: it runs on.
  std::optional<int> look() {
    int status = 0;
    if (::waitpid(pid_, &status, WNOHANG) != pid_) return std::nullopt;
    pid_ = 0;
    return status;
  }

 private:
  pid_t pid_;
};
}  // namespace

std::string_view without_white_space_around(std::string_view text) {
  static constexpr std::string_view kSpace = " \t\r\n\f\v";
  const auto first = text.find_first_not_of(kSpace);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

static Result<pid_t> spawn_shell(const std::string& command, int output) {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_init(&actions);
  posix_spawnattr_init(&attributes);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
  // A process group of its own, so that what the shell starts is ended with it.
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
  std::string shell = "sh", option = "-c", text = command;
  std::array<char*, 4> arguments{shell.data(), option.data(), text.data(), nullptr};
  pid_t pid = 0;
  const int failure =
      ::posix_spawn(&pid, "/bin/sh", &actions, &attributes, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  if (failure != 0) return Error::from_errno(failure, "starting the command");
  return pid;
}

// Until the command closes its output.
static Result<std::size_t> read_output(int fd, MutableByteView into, SteadyTime deadline,
                                       const std::string& what, const std::stop_token& stop) {
  std::size_t size = 0;
  while (size < into.size()) {
    if (stop.stop_requested()) return Error::cancelled("a stop was asked for");
    const auto left = std::chrono::ceil<Milliseconds>(deadline - std::chrono::steady_clock::now());
    if (left.count() <= 0) return Error::denied(fmt::format("the {} command takes too long", what));
    pollfd waiting{fd, POLLIN, 0};
    const int ready = ::poll(&waiting, 1, static_cast<int>(std::min(left, kLook).count()));
    if (ready == 0 || (ready < 0 && errno == EINTR)) continue;
    const auto count = ::read(fd, into.data() + size, into.size() - size);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return Error::from_errno(errno, "reading the command's output");
    if (count == 0) return size;
    size += static_cast<std::size_t>(count);
  }
  return Error::invalid(fmt::format("the {0} command prints more than a {0}", what));
}

// One may close its output and not end.
static Result<int> wait_for_end(Child& child, SteadyTime deadline, const std::string& what,
                                const std::stop_token& stop) {
  static constexpr Milliseconds kShortest{1}, kLongest{50};
  for (auto pause = kShortest;; pause = std::min(2 * pause, kLongest)) {
    if (const auto status = child.look()) return *status;
    if (std::chrono::steady_clock::now() >= deadline) {
      return Error::denied(fmt::format("the {} command takes too long", what));
    }
    if (!sleep_for(pause, stop)) return Error::cancelled("a stop was asked for");
  }
}

static MutableByteView bytes_of(SecretText& text) {
  return {reinterpret_cast<std::uint8_t*>(text.text().data()), text.text().size()};
}

static Result<SecretText> read_file(const Path& path, const std::string& what) {
  auto opened = File::open(path, O_RDONLY);
  if (!opened.has_value()) {
    return Error::denied(fmt::format("there is no {}: {}", what, opened.error().message()))
        .with_hint(fmt::format("put it there, and let the user that runs pitr read it"));
  }
  struct stat status{};
  if (::fstat(opened->fd(), &status) != 0) return Error::from_errno(errno, path.string());
  if (S_ISREG(status.st_mode) && (status.st_mode & (S_IROTH | S_IWOTH)) != 0) {
    return Error::denied(
               fmt::format("everybody may read or write the {} file {}", what, path.string()))
        .with_hint(fmt::format("chmod o= {}", path.string()));
  }
  SecretText text(std::string(kTextLimit, '\0'));
  const auto size = TRY(opened->read_at(bytes_of(text), 0));
  return SecretText(
      std::string(without_white_space_around(std::string_view(text.text()).substr(0, size))));
}

static Result<SecretText> read_environment(const std::string& variable, const std::string& what) {
  const char* value = std::getenv(variable.c_str());
  if (value == nullptr || *value == '\0') {
    return Error::denied(fmt::format("there is no {}: the environment variable {} is not set", what,
                                     variable))
        .with_hint(fmt::format("set it to the {}", what));
  }
  return SecretText(std::string(without_white_space_around(value)));
}

static Result<SecretText> run_command(const std::string& command, const std::string& what,
                                      Seconds timeout, const std::stop_token& stop) {
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return Error::from_errno(errno, "making a pipe");
  const UniqueFd output(ends[0]);
  UniqueFd input(ends[1]);
  const auto pid = TRY(spawn_shell(command, input.get()));
  Child child(pid);
  input.reset();
  SecretText text(std::string(kTextLimit, '\0'));
  const auto size = TRY(read_output(output.get(), bytes_of(text), deadline, what, stop));
  const int status = TRY(wait_for_end(child, deadline, what, stop));
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    return Error::denied(WIFEXITED(status)
                             ? fmt::format("there is no {0}: the {0} command exits with {1}", what,
                                           WEXITSTATUS(status))
                             : fmt::format("there is no {0}: signal {1} ended the {0} command",
                                           what, WTERMSIG(status)))
        // The command itself may hold a token, and this goes into logs.
        .with_hint(fmt::format(
            "run the configuration's {}_command by hand, as the user that runs pitr", what));
  }
  return SecretText(
      std::string(without_white_space_around(std::string_view(text.text()).substr(0, size))));
}

static Result<SecretText> read_text(const SecretSource& source, const std::string& what,
                                    Seconds timeout, const std::stop_token& stop) {
  switch (source.kind) {
    case SecretSource::Kind::kFile:
      return read_file(source.value, what);
    case SecretSource::Kind::kEnvironment:
      return read_environment(source.value, what);
    case SecretSource::Kind::kCommand:
      return run_command(source.value, what, timeout, stop);
    case SecretSource::Kind::kNone:
      break;
  }
  return Error::internal(fmt::format("no {} is configured", what));
}

Result<SecretText> read_secret(const SecretSource& source, const std::string& what, Seconds timeout,
                               const std::stop_token& stop) {
  auto text = TRY(read_text(source, what, timeout, stop));
  if (text.text().empty()) {
    return Error::invalid(fmt::format("the {} is empty", what))
        .with_hint(fmt::format("put it where the configuration says that the {} is", what));
  }
  return text;
}

}  // namespace pitr
