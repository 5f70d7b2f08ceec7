#include "programs/wal_serve.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <stdexcept>
#include <system_error>
#include <thread>

#include "agent/repository_access.h"
#include "common/log.h"
#include "config/load.h"
#include "http/client.h"
#include "http/server.h"
#include "postgres/control_file.h"
#include "postgres/data_directory.h"
#include "programs/exit_codes.h"
#include "programs/restore_lease.h"
#include "restore/recovery/prefetcher.h"

extern char** environ;

namespace pitr {

namespace {

constexpr int kExitDelivered = 0;
constexpr int kExitAbsent = 1;
constexpr int kExitTrouble = 200;  // above 125: PostgreSQL stops instead of going on
constexpr const char* kPingPath = "/v1/ping";

// The plan, and the repository that it names.
struct OpenedPlan {
  std::unique_ptr<SystemClock> clock;
  std::unique_ptr<RepositoryAccess> access;
  std::unique_ptr<WalSupply> supply;
};

Result<OpenedPlan> open_plan(const Path& plan_file) {
  auto plan = TRY(read_recovery_plan(plan_file));
  const auto config = TRY(load_config(plan.configuration));
  const auto segment_size = TRY(SegmentSize::from_bytes(plan.segment_size_bytes));
  OpenedPlan opened;
  opened.clock = std::make_unique<SystemClock>();
  opened.access = TRY(RepositoryAccess::open(config, *opened.clock));
  const IncarnationId incarnation{plan.cluster, plan.system_identifier, plan.major_version};
  const IncarnationStore store(opened.access->repository(), incarnation, segment_size);
  opened.supply = std::make_unique<WalSupply>(WalArchive(store), std::move(plan));
  return opened;
}

Result<Path> data_directory_of(const Path& plan_file) {
  std::error_code failure;
  const auto absolute = std::filesystem::absolute(plan_file, failure);
  if (failure) return Error::from_errno(failure.value(), plan_file.string());
  return absolute.parent_path().parent_path();
}

// As root this process could write anywhere on behalf of whoever may use the socket.
Result<void> check_destination(const Path& to, bool is_root) {
  const auto name = to.filename().string();
  const bool is_usual = (name == "RECOVERYXLOG" || name == "RECOVERYHISTORY") &&
                        to.parent_path().filename() == "pg_wal";
  if (to.is_absolute() && (is_usual || !is_root)) return {};
  return Error::denied(fmt::format("{} is no place for recovered WAL", to.string()));
}

http::Response answer(Prefetcher& prefetcher, const http::Request& request, bool is_root) {
  const Path to = request.query_value("to");
  const auto allowed = check_destination(to, is_root);
  if (!allowed.has_value()) return http::Response::of(allowed.error());
  const auto delivery = prefetcher.deliver(request.parameter("file"), to);
  http::Response response;
  if (!delivery.has_value()) {
    // 404 belongs to proven absence alone, and wal-get checks the header besides.
    log::error("{}: {}", request.parameter("file"), delivery.error().message());
    response = http::Response::of(delivery.error());
    if (response.status == 404) response.status = 500;
  } else if (*delivery == Delivery::kAbsent) {
    response.status = 404;
    response.headers["x-pitr-absent"] = "proven";
    response.body = "it lies beyond the restore's plan";
  }
  return response;
}

bool is_server_alive(const Path& data_directory) {
  const auto pid_file = read_postmaster_pid(data_directory);
  if (!pid_file.has_value()) return pid_file.error().kind() == ErrorKind::kTransient;
  const auto pid = std::abs(pid_file->pid);
  return pid > 0 && (::kill(pid, 0) == 0 || errno == EPERM);
}

// Without the signal file alone it is not over: the server removes it before it writes the new
// timeline's history, for which it asks for the old one's (StartupXLOG, xlog.c).
bool is_recovery_over(const Path& data_directory) {
  std::error_code failure;
  if (std::filesystem::exists(data_directory / "recovery.signal", failure)) return false;
  const auto control = read_control_file(data_directory);
  return control.has_value() && control->state == ClusterState::kInProduction;
}

// Returns when nobody will ask any more.
void watch(const WalServeOptions& options, const Path& data_directory,
           const Prefetcher& prefetcher) {
  const auto begin = std::chrono::steady_clock::now();
  bool was_alive = false;
  for (;;) {
    if (is_recovery_over(data_directory)) {
      log::info("recovery is over");
      return;
    }
    const bool is_alive = is_server_alive(data_directory);
    if (was_alive && !is_alive) {
      log::info("the server is gone");
      return;
    }
    was_alive = is_alive;
    if (!was_alive && std::chrono::steady_clock::now() - begin > options.start_limit) {
      log::info("no server has started");
      return;
    }
    if (std::chrono::steady_clock::now() - prefetcher.last_request() > options.idle_limit) {
      log::info("nobody asked for {} s", options.idle_limit.count());
      return;
    }
    std::this_thread::sleep_for(options.watch_interval);
  }
}

Result<Path> own_program() {
  std::error_code failure;
  auto path = std::filesystem::read_symlink("/proc/self/exe", failure);
  if (failure) return Error::from_errno(failure.value(), "/proc/self/exe");
  return path;
}

Result<pid_t> spawn_in_background(const std::vector<std::string>& arguments, const Path& log_file) {
  std::vector<char*> argv;
  for (const auto& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);

  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawnattr_init(&attributes);
  ::posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_addopen(&actions, 1, log_file.c_str(),
                                     O_WRONLY | O_APPEND | O_NOFOLLOW, 0600);
  ::posix_spawn_file_actions_adddup2(&actions, 1, 2);
  // A server's pipes must not be kept open by what outlives it.
  ::posix_spawn_file_actions_addclosefrom_np(&actions, 3);
  // The restore that starts it blocks the signals that end a program.
  sigset_t no_signals;
  ::sigemptyset(&no_signals);
  ::posix_spawnattr_setsigmask(&attributes, &no_signals);
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK);
  pid_t pid = -1;
  const int failure = ::posix_spawn(&pid, argv[0], &actions, &attributes, argv.data(), environ);
  ::posix_spawn_file_actions_destroy(&actions);
  ::posix_spawnattr_destroy(&attributes);
  if (failure != 0) return Error::from_errno(failure, "starting " + arguments[0]);
  return pid;
}

bool answers(const Path& socket) {
  http::ClientOptions options;
  options.timeout = Seconds(2);
  const auto request = http::Request::create("GET", kPingPath);
  if (!request.has_value()) return false;
  const auto response = http::Client(socket, options).send(*request);
  return response.has_value() && response->ok();
}

// The server's user must be able to read what lies in its data directory: backups do.
Result<pid_t> spawn_wal_serve(const Path& program, const Path& plan) {
  const auto log_file = plan.parent_path() / "wal-serve.log";
  const auto data_directory = TRY(data_directory_of(plan));
  const auto owner = TRY(owner_for(data_directory));
  auto log = TRY(File::open(log_file, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW, 0600));
  TRY(give_to(log.fd(), log_file, owner));
  TRY(log.close());
  return spawn_in_background({program.string(), "wal-serve", "--plan", plan.string()}, log_file);
}

struct WalArguments {
  Path plan;
  std::vector<std::string> others;
};

Result<WalArguments> parse_wal_arguments(const std::vector<std::string>& arguments) {
  WalArguments parsed;
  for (std::size_t i = 1; i < arguments.size(); ++i) {
    if (arguments[i] == "--plan" && i + 1 < arguments.size()) {
      parsed.plan = arguments[++i];
    } else if (arguments[i].starts_with("--plan=")) {
      parsed.plan = arguments[i].substr(7);
    } else {
      parsed.others.push_back(arguments[i]);
    }
  }
  const bool is_get = arguments[0] == "wal-get";
  if (parsed.plan.empty() || parsed.others.size() != (is_get ? 2u : 0u)) {
    return Error::invalid(is_get ? "usage: wal-get --plan FILE %f %p"
                                 : "usage: wal-serve --plan FILE");
  }
  return parsed;
}

void complain(std::string_view name, const Error& error) {
  fmt::print(stderr, "pitr {}: {}\n", name, error.message());
  if (!error.hint().empty()) fmt::print(stderr, "hint: {}\n", error.hint());
}

}  // namespace

Result<void> serve_wal(const WalServeOptions& options) {
  const auto data_directory = TRY(data_directory_of(options.plan));
  const auto opened = TRY(open_plan(options.plan));
  const auto& plan = opened.supply->plan();
  const auto owner = TRY(owner_for(data_directory));

  PrefetcherOptions prefetching;
  prefetching.spool_directory = plan.spool_directory;
  prefetching.spool_limit_bytes = plan.spool_limit_bytes;
  prefetching.owner = owner;
  // Before the socket is there: whoever finds it gets an answer. Its spool is its own.
  const auto prefetcher = TRY(Prefetcher::start(*opened.supply, std::move(prefetching)));
  http::Router router;
  router.add("GET", kPingPath, [](const http::Request&) { return http::Response(); });
  router.add("GET", "/v1/wal/{file}", [&](const http::Request& request) {
    return answer(*prefetcher, request, owner.has_value());
  });
  http::ServerOptions serving;
  serving.socket_path = plan.socket;
  const auto server = TRY(http::Server::start(std::move(serving), std::move(router)));
  TRY(give_to(plan.socket, owner));
  TRY(give_to(Path(plan.socket.string() + ".lock"), owner));
  // Without it WAL may be expired before it is asked for: then recovery stops, and says so.
  const IncarnationStore store(opened.access->repository(),
                               {plan.cluster, plan.system_identifier, plan.major_version},
                               TRY(SegmentSize::from_bytes(plan.segment_size_bytes)));
  const auto lease = hold_for_recovery(store, plan);
  if (!lease.has_value()) log::warning("no lease on the WAL: {}", lease.error().message());
  log::info("serving WAL for {}, to {}", data_directory.string(), to_string(plan.end));
  watch(options, data_directory, *prefetcher);
  server->stop();
  return {};
}

int get_wal_file(const Path& plan, const std::string& file_name, const Path& to) {
  const auto opened = open_plan(plan);
  if (!opened.has_value()) {
    complain("wal-get", opened.error());
    return kExitTrouble;
  }
  const auto bytes = opened->supply->get(file_name);
  if (!bytes.has_value()) {
    complain("wal-get", bytes.error());
    return kExitTrouble;
  }
  if (!*bytes) return kExitAbsent;
  const auto placed = place_file(to, **bytes, std::nullopt);
  if (!placed.has_value()) {
    complain("wal-get", placed.error());
    return kExitTrouble;
  }
  // What a server asks for next shall find a prefetcher. Without one it only takes longer.
  const auto program = own_program();
  const auto data_directory = data_directory_of(plan);
  const bool will_ask = data_directory.has_value() && is_server_alive(*data_directory);
  if (program.has_value() && will_ask && !opened->supply->plan().socket.empty()) {
    (void)spawn_wal_serve(*program, plan).has_value();
  }
  return kExitDelivered;
}

int run_wal_command(const std::vector<std::string>& arguments) {
  const bool is_get = !arguments.empty() && arguments[0] == "wal-get";
  try {
    const auto parsed = parse_wal_arguments(arguments);
    if (!parsed.has_value()) {
      complain(arguments[0], parsed.error());
      return is_get ? kExitTrouble : kExitUsage;
    }
    if (is_get) return get_wal_file(parsed->plan, parsed->others[0], parsed->others[1]);
    WalServeOptions options;
    options.plan = parsed->plan;
    const auto served = serve_wal(options);
    if (served.has_value()) return kExitSuccess;
    complain("wal-serve", served.error());
    return exit_code(served.error().kind());
  } catch (const std::exception& exception) {
    fmt::print(stderr, "pitr: {}\n", exception.what());
    return is_get ? kExitTrouble : exit_code(ErrorKind::kInternal);
  }
}

Result<void> start_wal_serve(const Path& program, const Path& plan, Seconds timeout) {
  const auto recovery = TRY(read_recovery_plan(plan));
  const auto pid = TRY(spawn_wal_serve(program, plan));
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  while (!answers(recovery.socket)) {
    int status = 0;
    const bool is_over = ::waitpid(pid, &status, WNOHANG) == pid;
    if (is_over || std::chrono::steady_clock::now() > deadline) {
      return Error::transient(fmt::format("the prefetcher did not start; its log is {}",
                                          (plan.parent_path() / "wal-serve.log").string()));
    }
    std::this_thread::sleep_for(Milliseconds(20));
  }
  return {};
}

}  // namespace pitr
