// pitr-archive: archive_command = '/usr/bin/pitr-archive [--cluster NAME] %p'
//
// Asks the agent to store the segment, and exits 0 only once it says that the segment is durable in
// the repository:
//   POST /v1/clusters/<name>/wal?path=<absolute path>     ("-" for the only cluster there is)
//   200        stored, or there already with the same content       exit 0
//   503, 404   the agent cannot, or does not know the cluster       the full program
//   others     refused, with the reason as text                     exit 1
// Where nobody listens, the full program does the work alone. Where the answer is lost, the exit
// code is 1, and PostgreSQL tries again, which is harmless.
//
// Every failure exits in 1..125: above that, and on a signal, PostgreSQL's archiver dies and the
// failure isn't counted in pg_stat_archiver (pgarch.c). Links libc only, to start in half a
// millisecond.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "programs/small/small_program.h"
#include "programs/small/unix_http_client.h"

namespace pitr {
namespace {

constexpr const char* kName = "pitr-archive";
constexpr const char* kUsage =
    "usage: pitr-archive [--config FILE] [--cluster NAME] [--socket PATH] [--timeout SECONDS] %p";
constexpr const char* kDefaultSocket = "/run/pitr/agent.sock";
constexpr int kExitStored = 0;
constexpr int kExitFailed = 1;
constexpr int kExitUsage = 2;

struct Options {
  const char* config = nullptr;
  const char* cluster = nullptr;
  const char* socket = nullptr;
  const char* path = nullptr;
  int timeout_s = 300;
};

bool parse_options(int argc, char** argv, Options& options) {
  for (int i = 1; i < argc; ++i) {
    if (const char* config = option_value(argv, i, "--config")) {
      options.config = config;
    } else if (const char* cluster = option_value(argv, i, "--cluster")) {
      options.cluster = cluster;
    } else if (const char* socket = option_value(argv, i, "--socket")) {
      options.socket = socket;
    } else if (const char* timeout = option_value(argv, i, "--timeout")) {
      options.timeout_s = parse_timeout_s(timeout);
    } else if (argv[i][0] == '-' || options.path) {
      return false;
    } else {
      options.path = argv[i];
    }
  }
  const auto given = [](const char* value) { return !value || value[0] != '\0'; };
  return options.path && options.path[0] && given(options.config) && given(options.cluster) &&
         given(options.socket) && options.timeout_s > 0;
}

int archive_with_full_program(const Options& options, const char* path) {
  const char* arguments[8] = {nullptr, "archive-wal"};
  int count = 2;
  if (options.config) {
    arguments[count++] = "--config";
    arguments[count++] = options.config;
  }
  if (options.cluster) {
    arguments[count++] = "--cluster";
    arguments[count++] = options.cluster;
  }
  arguments[count] = path;
  run_full_program(nullptr, arguments);
  complain(kName, "nobody answers on the agent's socket, and the program pitr could not be run",
           ::strerror(errno));
  return kExitFailed;
}

int archive(const Options& options) {
  PathText path;
  if (!make_absolute(options.path, path)) {
    complain(kName, "the path cannot be made absolute", options.path);
    return kExitFailed;
  }
  const char* socket = options.socket ? options.socket : ::getenv("PITR_SOCKET");
  if (!socket || !socket[0]) socket = kDefaultSocket;

  FixedText<16 * 1024> target;
  target.add("/v1/clusters/").add_percent_encoded(options.cluster ? options.cluster : "-");
  target.add("/wal?path=").add_percent_encoded(path.view());
  HttpAnswer answer;
  ask(socket, "POST", target.view(), options.timeout_s, answer);

  if (answer.outcome == Outcome::kLost) {
    complain(kName, "the agent's answer was lost; the segment will be tried again",
             answer.trouble.view());
    return kExitFailed;
  }
  if (answer.outcome == Outcome::kNobody) {
    if (!answer.expected_absence) complain(kName, socket, answer.trouble.view());
    return archive_with_full_program(options, path.c_str());
  }
  if (answer.status == 200) return kExitStored;
  if (answer.status == 503 || answer.status == 404) {
    return archive_with_full_program(options, path.c_str());
  }
  complain(kName, answer.body.empty() ? "the agent refused without a reason" : answer.body.view(),
           answer.header_value("x-pitr-hint"));
  return kExitFailed;
}

}  // namespace
}  // namespace pitr

int main(int argc, char** argv) {
  pitr::Options options;
  if (!pitr::parse_options(argc, argv, options)) {
    pitr::complain(pitr::kName, pitr::kUsage);
    return pitr::kExitUsage;
  }
  return pitr::archive(options);
}
