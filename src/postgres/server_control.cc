#include "postgres/server_control.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <grp.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>

#include "postgres/data_directory.h"

namespace pitr {
namespace {

constexpr std::size_t kMostOutputBytes = 64 * 1024;

// Who a program runs as; absent: as this process.
struct User {
  uid_t uid = 0;
  gid_t gid = 0;
};

// Only root can and must become somebody else.
Result<std::optional<User>> owner_to_become(const Path& data_directory) {
  struct stat status{};
  if (::stat(data_directory.c_str(), &status) != 0) {
    return Error::from_errno(errno,
                             fmt::format("reading the owner of {}", data_directory.native()));
  }
  if (::geteuid() != 0) return std::optional<User>();
  if (status.st_uid == 0) {
    return Error::invalid(fmt::format("{} belongs to root, and PostgreSQL refuses to run as root",
                                      data_directory.native()))
        .with_hint("change the owner of the data directory to the user that runs PostgreSQL");
  }
  return std::optional<User>(User{status.st_uid, status.st_gid});
}

// In the child, between fork and exec: nothing here may allocate or lock.
[[noreturn]] void become_program(const std::vector<char*>& arguments, int output,
                                 const std::optional<User>& user) {
  constexpr int kCannotExecute = 127;
  if (user &&
      (::setgroups(1, &user->gid) != 0 || ::setgid(user->gid) != 0 || ::setuid(user->uid) != 0)) {
    ::_exit(kCannotExecute);
  }
  const int nothing = ::open("/dev/null", O_RDONLY);
  if (nothing < 0 || ::dup2(nothing, STDIN_FILENO) < 0 || ::dup2(output, STDOUT_FILENO) < 0 ||
      ::dup2(output, STDERR_FILENO) < 0 || ::chdir("/") != 0) {
    ::_exit(kCannotExecute);
  }
  sigset_t no_signals;  // what this program blocks is no business of the server
  ::sigemptyset(&no_signals);
  ::sigprocmask(SIG_SETMASK, &no_signals, nullptr);
  ::execv(arguments[0], arguments.data());
  ::_exit(kCannotExecute);
}

std::string read_to_end(int fd) {
  std::string output;
  std::array<char, 4096> buffer;
  while (true) {
    const ssize_t n = ::read(fd, buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return output;
    if (output.size() < kMostOutputBytes) output.append(buffer.data(), static_cast<std::size_t>(n));
  }
}

// Runs a program to its end; returns its exit code (128 + signal when killed).
Result<int> run_program(const std::vector<std::string>& words, const std::optional<User>& user,
                        std::string& output) {
  std::vector<char*> arguments;
  for (const auto& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return Error::from_errno(errno, "making a pipe");
  UniqueFd read_end(ends[0]);
  UniqueFd write_end(ends[1]);
  const pid_t child = ::fork();
  if (child < 0) return Error::from_errno(errno, "starting " + words[0]);
  if (child == 0) become_program(arguments, write_end.get(), user);
  write_end.reset();
  output = read_to_end(read_end.get());
  int status = 0;
  while (::waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) return Error::from_errno(errno, "waiting for " + words[0]);
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

std::string trimmed(std::string text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
  return text;
}

// "postgres (PostgreSQL) 15.18 (Debian 15.18-1)" and "... 18beta1": the number before '.' or words.
bool is_of_major(const Path& directory, int server_major) {
  const auto server = (directory / "postgres").native();
  if (::access(server.c_str(), X_OK) != 0 || ::access((directory / "pg_ctl").c_str(), X_OK) != 0) {
    return false;
  }
  std::string output;
  const auto code = run_program({server, "--version"}, std::nullopt, output);
  constexpr std::string_view kBefore = "(PostgreSQL) ";
  const auto at = output.find(kBefore);
  if (!code || *code != 0 || at == std::string::npos) return false;
  return std::atoi(output.c_str() + at + kBefore.size()) == server_major;
}

std::vector<Path> directories_in_path() {
  std::vector<Path> directories;
  const char* variable = std::getenv("PATH");
  std::string_view rest = variable == nullptr ? "" : variable;
  while (!rest.empty()) {
    const auto colon = rest.find(':');
    if (const auto directory = rest.substr(0, colon); directory.starts_with('/')) {
      directories.emplace_back(directory);
    }
    rest.remove_prefix(colon == std::string_view::npos ? rest.size() : colon + 1);
  }
  return directories;
}

// Where the client programs of a package say that the server is.
std::optional<Path> directory_of_pg_config() {
  for (const auto& directory : directories_in_path()) {
    const auto program = (directory / "pg_config").native();
    if (::access(program.c_str(), X_OK) != 0) continue;
    std::string output;
    const auto code = run_program({program, "--bindir"}, std::nullopt, output);
    if (code && *code == 0) return Path(trimmed(output));
  }
  return std::nullopt;
}

// For the shell that pg_ctl hands its -o option to.
std::string shell_quoted(const std::string& word) {
  std::string quoted = "'";
  for (const char c : word) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return quoted + "'";
}

// pg_ctl runs as the owner, who may not be able to make a file where root wants the log.
Result<void> prepare_log(const Path& log, const std::optional<User>& user) {
  if (!user) return {};
  UniqueFd made(::open(log.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!made && errno == EEXIST) return {};
  if (!made || ::fchown(made.get(), user->uid, user->gid) != 0) {
    return Error::from_errno(errno, "making the server log " + log.native());
  }
  return {};
}

std::uint64_t size_of(const Path& path) {
  struct stat status{};
  return ::stat(path.c_str(), &status) == 0 ? static_cast<std::uint64_t>(status.st_size) : 0;
}

// What the server wrote since `from`, at most the last 4 KiB.
std::string tail_of(const Path& log, std::uint64_t from) {
  constexpr std::uint64_t kMostBytes = 4096;
  const auto file = File::open(log, O_RDONLY);
  const auto size = size_of(log);
  if (!file || size <= from) return {};
  if (size - from > kMostBytes) from = size - kMostBytes;
  Bytes bytes(size - from);
  const auto read = file->read_at(bytes, from);
  if (!read) return {};
  return trimmed(std::string(as_text(bytes).substr(0, *read)));
}

}  // namespace

Result<Path> find_server_binaries(int server_major, const std::optional<Path>& binary_directory) {
  std::vector<Path> candidates;
  if (binary_directory) {
    candidates.push_back(*binary_directory);
  } else {
    candidates.emplace_back(fmt::format("/usr/lib/postgresql/{}/bin", server_major));
    candidates.emplace_back(fmt::format("/usr/pgsql-{}/bin", server_major));
    if (auto directory = directory_of_pg_config()) candidates.push_back(std::move(*directory));
    for (auto& directory : directories_in_path()) candidates.push_back(std::move(directory));
  }
  std::string tried;
  for (const auto& directory : candidates) {
    if (is_of_major(directory, server_major)) return directory;
    tried += (tried.empty() ? "" : ", ") + directory.native();
  }
  return Error::not_found(
             fmt::format("no binaries of a PostgreSQL {} server in {}", server_major, tried))
      .with_hint(fmt::format("install postgresql-{}, or name the directory with pg_ctl in it",
                             server_major));
}

Result<ServerControl> ServerControl::open(Path data_directory,
                                          const std::optional<Path>& binary_directory) {
  std::error_code error;
  data_directory = std::filesystem::absolute(data_directory, error);
  if (error) return Error::from_errno(error.value(), "finding the data directory");
  const auto major = TRY(read_server_major(data_directory));
  auto binaries = TRY(find_server_binaries(major, binary_directory));
  return ServerControl(std::move(data_directory), std::move(binaries), major);
}

Result<int> ServerControl::pg_ctl(std::vector<std::string> arguments, std::string& output) {
  const auto user = TRY(owner_to_become(data_directory_));
  std::vector<std::string> words = {(binary_directory_ / "pg_ctl").native()};
  for (auto& argument : arguments) words.push_back(std::move(argument));
  words.insert(words.end(), {"-D", data_directory_.native()});
  return run_program(words, user, output);
}

Result<void> ServerControl::must_succeed(const std::string& what,
                                         std::vector<std::string> arguments) {
  std::string output;
  const auto code = TRY(pg_ctl(std::move(arguments), output));
  if (code == 0) return {};
  return Error::invalid(fmt::format("{} the server in {} failed: pg_ctl exited with {}: {}", what,
                                    data_directory_.native(), code, trimmed(output)));
}

Result<void> ServerControl::start(const StartOptions& options) {
  std::error_code error;
  const Path log = std::filesystem::absolute(options.log_file, error);
  if (error) return Error::from_errno(error.value(), "finding the server log");
  const auto user = TRY(owner_to_become(data_directory_));
  TRY(prepare_log(log, user));
  const auto log_size = size_of(log);
  std::vector<std::string> arguments = {"start",
                                        "-s",
                                        options.wait ? "-w" : "-W",
                                        "-t",
                                        std::to_string(options.timeout.count()),
                                        "-l",
                                        log.native()};
  std::string settings;
  for (const auto& setting : options.settings) settings += "-c " + shell_quoted(setting) + " ";
  if (!settings.empty()) arguments.insert(arguments.end(), {"-o", settings});
  auto started = must_succeed("starting", std::move(arguments));
  if (started) return started;
  const auto said = tail_of(log, log_size);
  return Error(started.error().kind(),
               fmt::format("{}; {} says:\n{}", started.error().message(), log.native(), said));
}

Result<void> ServerControl::stop(StopMode mode, Seconds timeout) {
  const auto* word = mode == StopMode::kSmart  ? "smart"
                     : mode == StopMode::kFast ? "fast"
                                               : "immediate";
  return must_succeed("stopping",
                      {"stop", "-s", "-w", "-m", word, "-t", std::to_string(timeout.count())});
}

Result<void> ServerControl::promote(Seconds timeout) {
  return must_succeed("promoting", {"promote", "-s", "-w", "-t", std::to_string(timeout.count())});
}

Result<void> ServerControl::reload() {
  return must_succeed("reloading", {"reload", "-s"});
}

Result<bool> ServerControl::is_running() {
  constexpr int kNotRunning = 3;
  std::string output;
  const auto code = TRY(pg_ctl({"status"}, output));
  if (code == 0 || code == kNotRunning) return code == 0;
  return Error::invalid(fmt::format("asking for the server in {}: pg_ctl exited with {}: {}",
                                    data_directory_.native(), code, trimmed(output)));
}

}  // namespace pitr
