// pitr-wal-get: restore_command = '/usr/bin/pitr-wal-get --plan FILE %f %p'
//
// Asks the prefetcher of a restore to put a WAL file into its place:
//   GET /v1/wal/<%f>?to=<absolute %p>
//   200                                  the file is there, whole          exit 0
//   404 with X-Pitr-Absent: proven       it lies beyond the plan           exit 1
//   others, and no answer                trouble                           exit 200
// Where nobody listens, or the prefetcher is killed while it is asked, the full program does the
// work alone ("pitr wal-get --plan FILE %f %p"). One that only doesn't answer may still put a file
// there, so that is trouble.
//
// PostgreSQL takes 1..125 for "the archive ends here" and goes on without what is missing; above
// 125 it stops, and on SIGTERM, whose default action is kept, it shuts down cleanly
// (xlogarchive.c). So 1 is for proven absence alone, and even bad usage exits with 200.
//
// FILE is written by the restore, beside its full plan: lines of key=value, at most 64 KiB; empty
// lines, lines that begin with "#" and unknown keys are passed over.
//   socket=/…       the prefetcher's Unix socket; without it the full program is run
//   program=/…      the full program; without it "pitr" beside this one, or in PATH
//   timeout_s=300   the longest wait for the answer
// Links libc only, to start in half a millisecond.
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "programs/small/small_program.h"
#include "programs/small/unix_http_client.h"

namespace pitr {
namespace {

constexpr const char* kName = "pitr-wal-get";
constexpr const char* kUsage = "usage: pitr-wal-get --plan FILE %f %p";
constexpr int kExitDelivered = 0;
constexpr int kExitAbsent = 1;
constexpr int kExitFoundTrouble = 200;

struct Arguments {
  const char* plan = nullptr;
  const char* file = nullptr;
  const char* destination = nullptr;
};

struct Plan {
  PathText socket;
  PathText program;
  int timeout_s = 300;
};

bool parse_arguments(int argc, char** argv, Arguments& arguments) {
  for (int i = 1; i < argc; ++i) {
    if (const char* plan = option_value(argv, i, "--plan")) {
      arguments.plan = plan;
    } else if (argv[i][0] == '-' || argv[i][0] == '\0' || arguments.destination) {
      return false;
    } else {
      (arguments.file ? arguments.destination : arguments.file) = argv[i];
    }
  }
  return arguments.plan && arguments.plan[0] && arguments.destination;
}

bool take_line(std::string_view line, Plan& plan) {
  const auto is = [&](std::string_view key) {
    if (!line.starts_with(key)) return false;
    line.remove_prefix(key.size());
    return true;
  };
  if (is("socket=")) {
    plan.socket = {};
    plan.socket.add(line);
  } else if (is("program=")) {
    plan.program = {};
    plan.program.add(line);
  } else if (is("timeout_s=")) {
    plan.timeout_s = parse_timeout_s(line);
  }
  return !plan.socket.overflowed() && !plan.program.overflowed() && plan.timeout_s > 0;
}

// 0, or errno; EINVAL where the file isn't a plan.
int read_plan(const char* path, Plan& plan) {
  static char text[64 * 1024];
  const int fd = ::open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return errno;
  std::size_t size = 0;
  for (ssize_t count = 1; count != 0 && size < sizeof text;) {
    count = ::read(fd, text + size, sizeof text - size);
    if (count < 0 && errno != EINTR) return errno;
    if (count > 0) size += static_cast<std::size_t>(count);
  }
  ::close(fd);
  if (size == sizeof text) return EFBIG;
  if (::memchr(text, '\0', size)) return EINVAL;
  for (std::size_t start = 0; start < size;) {
    std::size_t end = start;
    while (end < size && text[end] != '\n') ++end;
    if (!take_line({text + start, end - start}, plan)) return EINVAL;
    start = end + 1;
  }
  return 0;
}

int get_with_full_program(const Arguments& arguments, const Plan& plan) {
  const char* argv[] = {
      nullptr, "wal-get", "--plan", arguments.plan, arguments.file, arguments.destination, nullptr};
  run_full_program(plan.program.empty() ? nullptr : plan.program.c_str(), argv);
  complain(kName,
           "nobody answers on the prefetcher's socket, and the program pitr could not be run",
           ::strerror(errno));
  return kExitFoundTrouble;
}

// PostgreSQL checks the size; that there is a file at all is checked here.
int check_delivered(const char* destination) {
  struct stat delivered{};
  if (::stat(destination, &delivered) == 0 && S_ISREG(delivered.st_mode)) return kExitDelivered;
  complain(kName, "the prefetcher reported a file that is not there", destination);
  return kExitFoundTrouble;
}

int get(const Arguments& arguments) {
  static Plan plan;
  if (const int failure = read_plan(arguments.plan, plan); failure != 0) {
    complain(kName, "the plan cannot be read", ::strerror(failure));
    return kExitFoundTrouble;
  }
  PathText destination;
  if (!make_absolute(arguments.destination, destination)) {
    complain(kName, "the path cannot be made absolute", arguments.destination);
    return kExitFoundTrouble;
  }
  if (plan.socket.empty()) return get_with_full_program(arguments, plan);

  FixedText<16 * 1024> target;
  target.add("/v1/wal/").add_percent_encoded(arguments.file);
  target.add("?to=").add_percent_encoded(destination.view());
  HttpAnswer answer;
  ask(plan.socket.c_str(), "GET", target.view(), plan.timeout_s, answer);

  if (answer.outcome == Outcome::kNobody) {
    if (!answer.expected_absence) complain(kName, plan.socket.view(), answer.trouble.view());
    return get_with_full_program(arguments, plan);
  }
  if (answer.outcome == Outcome::kLost) {
    complain(kName, "the prefetcher's answer was lost", answer.trouble.view());
    return answer.peer_is_gone ? get_with_full_program(arguments, plan) : kExitFoundTrouble;
  }
  if (answer.status == 200) return check_delivered(destination.c_str());
  if (answer.status == 404 && answer.header_value("x-pitr-absent") == "proven") return kExitAbsent;
  complain(kName,
           answer.body.empty() ? "the prefetcher refused without a reason" : answer.body.view(),
           answer.header_value("x-pitr-hint"));
  return kExitFoundTrouble;
}

}  // namespace
}  // namespace pitr

int main(int argc, char** argv) {
  pitr::Arguments arguments;
  if (!pitr::parse_arguments(argc, argv, arguments)) {
    pitr::complain(pitr::kName, pitr::kUsage);
    return pitr::kExitFoundTrouble;
  }
  return pitr::get(arguments);
}
