#include "support/subprocess.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/child_spawner.h"

// glibc 2.36 forgot this header's own extern "C".
extern "C" {
#include <sys/pidfd.h>
}

namespace pitr::test {
namespace {

std::string find_program(const std::string& name) {
  if (name.find('/') != std::string::npos) return name;
  const char* path = std::getenv("PATH");
  std::string_view rest = path != nullptr ? path : "/usr/bin:/bin";
  while (!rest.empty()) {
    const auto colon = rest.find(':');
    const std::string candidate = fmt::format("{}/{}", rest.substr(0, colon), name);
    if (access(candidate.c_str(), X_OK) == 0) return candidate;
    rest = colon == std::string_view::npos ? "" : rest.substr(colon + 1);
  }
  return name;
}

std::vector<std::string> merged_environment(const std::map<std::string, std::string>& added) {
  std::vector<std::string> result;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string text = *entry;
    if (!added.contains(text.substr(0, text.find('=')))) result.push_back(text);
  }
  for (const auto& [name, value] : added) result.push_back(name + "=" + value);
  return result;
}

Result<UniqueFd> memory_file(std::string_view content = {}) {
  UniqueFd fd(memfd_create("pitr-test", MFD_CLOEXEC));
  if (!fd) return Error::from_errno(errno, "memfd_create");
  for (std::size_t done = 0; done < content.size();) {
    const auto count = write(fd.get(), content.data() + done, content.size() - done);
    if (count < 0) return Error::from_errno(errno, "writing a memory file");
    done += static_cast<std::size_t>(count);
  }
  lseek(fd.get(), 0, SEEK_SET);
  return fd;
}

std::string content_of(const UniqueFd& fd) {
  std::string result;
  char buffer[65536];
  ssize_t count = 0;
  while (fd &&
         (count = pread(fd.get(), buffer, sizeof buffer, static_cast<off_t>(result.size()))) > 0) {
    result.append(buffer, static_cast<std::size_t>(count));
  }
  return result;
}

}  // namespace

Result<Subprocess> Subprocess::start(const std::vector<std::string>& argv,
                                     const SubprocessOptions& options) {
  if (argv.empty()) return Error::invalid("no program to start");
  UniqueFd in = TRY(memory_file(options.input));
  UniqueFd out;
  UniqueFd err;
  if (options.output_file) {
    const int flags = O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC;
    out = UniqueFd(open(options.output_file->c_str(), flags, 0600));
    err = UniqueFd(open(options.output_file->c_str(), flags, 0600));
    if (!out || !err) return Error::from_errno(errno, "opening " + options.output_file->string());
  } else {
    out = TRY(memory_file());
    err = TRY(memory_file());
  }
  ChildPlan plan;
  plan.program = find_program(argv[0]);
  plan.argv = argv;
  plan.environment = merged_environment(options.environment);
  plan.directory = options.working_directory.value_or(Path()).string();
  plan.in = in.get();
  plan.out = out.get();
  plan.err = err.get();
  plan.death_signal = options.death_signal;
  plan.new_session = options.new_session;
  const pid_t pid = TRY(spawn_child(plan));
  Subprocess process(pid);
  if (!options.output_file) {
    process.out_ = std::move(out);
    process.err_ = std::move(err);
  }
  return process;
}

Subprocess::Subprocess(Subprocess&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)),
      status_(other.status_),
      out_(std::move(other.out_)),
      err_(std::move(other.err_)) {}

Subprocess& Subprocess::operator=(Subprocess&& other) noexcept {
  if (this != &other) {
    kill();
    pid_ = std::exchange(other.pid_, -1);
    status_ = other.status_;
    out_ = std::move(other.out_);
    err_ = std::move(other.err_);
  }
  return *this;
}

Subprocess::~Subprocess() {
  kill();
}

void Subprocess::poll_status(bool block) {
  if (pid_ < 0 || status_) return;
  int status = 0;
  pid_t waited = 0;
  do {
    waited = waitpid(pid_, &status, block ? 0 : WNOHANG);
  } while (waited < 0 && errno == EINTR);
  if (waited != pid_) return;
  if (WIFSIGNALED(status)) {
    status_ = ExitStatus{128 + WTERMSIG(status), WTERMSIG(status)};
  } else {
    status_ = ExitStatus{WEXITSTATUS(status), 0};
  }
}

bool Subprocess::running() {
  poll_status(false);
  return pid_ >= 0 && !status_;
}

void Subprocess::signal(int signal_number) {
  if (running()) ::kill(pid_, signal_number);
}

Result<ExitStatus> Subprocess::wait(Milliseconds timeout) {
  if (pid_ < 0) return Error::invalid("waiting for a process that was moved away");
  if (!running()) return *status_;
  const UniqueFd watch(pidfd_open(pid_, 0));
  if (!watch) return Error::from_errno(errno, "pidfd_open");
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  while (running()) {
    const auto left = std::chrono::ceil<Milliseconds>(deadline - std::chrono::steady_clock::now());
    if (left.count() <= 0) {
      return Error::transient(
          fmt::format("process {} still runs after {} ms", pid_, timeout.count()));
    }
    pollfd event{.fd = watch.get(), .events = POLLIN, .revents = 0};
    poll(&event, 1, static_cast<int>(left.count()));
  }
  return *status_;
}

void Subprocess::kill() {
  signal(SIGKILL);
  poll_status(true);
}

std::string Subprocess::out() const {
  return content_of(out_);
}
std::string Subprocess::err() const {
  return content_of(err_);
}

Result<CommandOutput> run_command(const std::vector<std::string>& argv,
                                  const SubprocessOptions& options, Milliseconds timeout) {
  Subprocess process = TRY(Subprocess::start(argv, options));
  auto status = process.wait(timeout);
  if (!status) {
    return std::move(status).error().with_context(
        fmt::format("{} (so far: {}{})", fmt::join(argv, " "), process.out(), process.err()));
  }
  CommandOutput output;
  output.status = *status;
  output.out = process.out();
  output.err = process.err();
  return output;
}

Result<std::string> run_successfully(const std::vector<std::string>& argv,
                                     const SubprocessOptions& options, Milliseconds timeout) {
  CommandOutput output = TRY(run_command(argv, options, timeout));
  if (!output.status.success()) {
    return Error::invalid(fmt::format("{}: exit status {}: {}", fmt::join(argv, " "),
                                      output.status.exit_code,
                                      output.err.empty() ? output.out : output.err));
  }
  return std::move(output.out);
}

}  // namespace pitr::test
