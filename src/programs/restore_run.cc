#include "programs/restore_run.h"

#include <fmt/format.h>
#include <stdlib.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <system_error>
#include <thread>

#include "agent/host.h"
#include "agent/repository_access.h"
#include "config/load.h"
#include "postgres/data_directory.h"
#include "programs/exit_codes.h"
#include "programs/restore_view.h"
#include "programs/terminal_progress.h"
#include "programs/wal_serve.h"
#include "repository/incarnations.h"
#include "repository/wal/timelines.h"
#include "restore/timestamp_text.h"

namespace pitr {

namespace {

constexpr unsigned kMostJobs = 8;

template <typename Number>
Result<Number> parse_number(const std::string& text, std::string_view what) {
  Number value{};
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failure != std::errc() || end != text.data() + text.size()) {
    return Error::invalid(fmt::format("\"{}\" is not {}", text, what));
  }
  return value;
}

struct AskedTarget {
  RestoreTarget target;
  std::string zone;
  std::optional<std::string> given_time;
};

Result<AskedTarget> parse_target(const RestoreArguments& arguments) {
  const bool inclusive = !arguments.exclusive;
  const auto local = TRY(local_zone_name(ConfigSearch::process_environment));
  AskedTarget asked{TargetLatest(), local, std::nullopt};
  const int count = int{arguments.timestamp.has_value()} + int{arguments.lsn.has_value()} +
                    int{arguments.xid.has_value()} + int{arguments.name.has_value()} +
                    int{arguments.immediate} + int{arguments.latest};
  if (count != 1) {
    return Error::invalid(count == 0 ? "no target is given" : "more than one target is given")
        .with_hint("one of --timestamp, --lsn, --xid, --name, --immediate, --latest");
  }
  const bool is_positional = arguments.timestamp || arguments.lsn || arguments.xid;
  if (arguments.exclusive && !is_positional) {
    return Error::invalid("--exclusive fits --timestamp, --lsn and --xid only");
  }
  if (arguments.timestamp) {
    const auto parsed = TRY(parse_timestamp(*arguments.timestamp, local));
    asked.target = TargetTime{parsed.time, inclusive};
    asked.zone = parsed.zone;
    asked.given_time = TRY(to_string_in_zone(parsed.time, parsed.zone));
    if (!inclusive) *asked.given_time += " (exclusive)";
  } else if (arguments.lsn) {
    const auto lsn = TRY(Lsn::parse(*arguments.lsn));
    asked.target = TargetLsn{lsn, inclusive};
  } else if (arguments.xid) {
    // With its epoch, as pg_current_xact_id() gives it; WAL has the lower 32 bits.
    const auto xid = TRY(parse_number<std::uint64_t>(*arguments.xid, "a transaction id"));
    asked.target = TargetXid{static_cast<std::uint32_t>(xid), inclusive};
  } else if (arguments.name) {
    asked.target = TargetName{*arguments.name};
  } else if (arguments.immediate) {
    asked.target = TargetImmediate();
  }
  return asked;
}

Result<PlanRequest> parse_request(const RestoreArguments& arguments, const RestoreTarget& target) {
  PlanRequest request{target, std::nullopt, std::nullopt};
  if (arguments.timeline) {
    const auto id = TRY(parse_number<std::uint32_t>(*arguments.timeline, "a timeline"));
    request.timeline = TimelineId(id);
  }
  if (arguments.backup) {
    auto id = TRY(BackupId::parse(*arguments.backup));
    request.backup = std::move(id);
  }
  return request;
}

Result<std::vector<TablespaceMapping>> parse_mappings(const std::vector<std::string>& texts) {
  std::vector<TablespaceMapping> mappings;
  for (const auto& text : texts) {
    const auto at = text.find('=');
    if (at == std::string::npos || at == 0 || at + 1 == text.size()) {
      return Error::invalid(fmt::format("\"{}\" is not a tablespace mapping", text))
          .with_hint("--tablespace-map /old/directory=/new/directory, or OID=/new/directory");
    }
    mappings.push_back({text.substr(0, at), text.substr(at + 1)});
  }
  return mappings;
}

// The incarnation that the name stands for now, or the one asked for.
Result<IncarnationStore> open_incarnation(Repository& repository, const RestoreArguments& arguments,
                                          const std::string& cluster) {
  if (!arguments.system_identifier) return newest_incarnation(repository, cluster);
  const auto wanted =
      TRY(parse_number<std::uint64_t>(*arguments.system_identifier, "a system identifier"));
  const auto all = TRY(registered_incarnations(repository, cluster));
  for (const auto& registered : all) {
    if (registered.id.system_identifier == wanted) {
      return IncarnationStore(repository, registered.id, registered.segment_size);
    }
  }
  return Error::not_found(
      fmt::format("cluster {} has no incarnation with system identifier {}", cluster, wanted));
}

// Beside the plan where a socket's name fits, else in a directory of its own.
Result<Path> choose_socket(const Path& data_directory) {
  const auto usual = data_directory / kRestoreDirectory / "wal.sock";
  if (usual.native().size() + sizeof ".lock" < sizeof(sockaddr_un::sun_path)) return usual;
  std::string name = "/tmp/pitr-restore-XXXXXX";
  if (!::mkdtemp(name.data())) return Error::from_errno(errno, "creating " + name);
  const auto owner = TRY(owner_for(data_directory));
  TRY(give_to(Path(name), owner));
  return Path(name) / "wal.sock";
}

Result<bool> ask_yes(std::string_view question) {
  fmt::print(stderr, "{} Type \"yes\" to go on: ", question);
  std::fflush(stderr);
  char answer[16] = {};
  if (!std::fgets(answer, sizeof answer, stdin)) return false;
  return std::string_view(answer) == "yes\n";
}

class RestoreRun {
 public:
  explicit RestoreRun(const RestoreArguments& arguments)
      : arguments_(arguments), progress_(TerminalProgress::style_of(STDERR_FILENO)) {}

  Result<int> run();

 private:
  Result<void> open();
  Result<void> choose_places(const RestorePlan& plan);
  Result<void> confirm() const;
  Result<RecoveryPlan> make_recovery_plan(const RestorePlan& plan, const IncarnationStore& store);
  Result<RestoreSummary> restore(const RestorePlan& plan, const RecoveryPlan& recovery,
                                 const IncarnationStore& store);
  Result<ServerReport> start(const RecoveryPlan& recovery, const RestoreSummary& summary);
  void tell_what_comes_next(const RestoreOutcome& outcome) const;
  RestoreView view(const RestorePlan& plan) const;

  const RestoreArguments& arguments_;
  TerminalProgress progress_;
  SystemClock clock_;
  AskedTarget asked_{TargetLatest(), "UTC", std::nullopt};
  RecoveryAction action_ = RecoveryAction::kPromote;
  bool keep_archive_mode_ = false;
  Path config_file_;
  Config config_;
  const ClusterConfig* cluster_ = nullptr;
  std::unique_ptr<RepositoryAccess> access_;
  std::optional<Path> data_directory_;
  std::vector<TablespacePlace> tablespaces_;
  std::vector<PlaceState> places_;
};

Result<void> RestoreRun::open() {
  asked_ = TRY(parse_target(arguments_));
  action_ = TRY(parse_recovery_action(arguments_.action));
  if (arguments_.archive_mode != "off" && arguments_.archive_mode != "preserve") {
    return Error::invalid("--archive-mode is off or preserve");
  }
  keep_archive_mode_ = arguments_.archive_mode == "preserve";
  if (arguments_.target_directory) {
    std::error_code failure;
    const auto absolute = std::filesystem::absolute(*arguments_.target_directory, failure);
    if (failure) {
      return Error::from_errno(failure.value(), arguments_.target_directory->string());
    }
    data_directory_ = absolute.lexically_normal();
    if (!data_directory_->has_filename()) data_directory_ = data_directory_->parent_path();
  } else if (!arguments_.dry_run) {
    return Error::invalid("no --target-dir is given")
        .with_hint("--dry-run shows the plan without one");
  }
  ConfigSearch search;
  search.from_option = arguments_.config;
  const auto found = TRY(find_config_file(search));
  std::error_code failure;
  config_file_ = std::filesystem::absolute(found, failure);
  if (failure) return Error::from_errno(failure.value(), found.string());
  config_ = TRY(load_config(config_file_));
  cluster_ = config_.find_cluster(arguments_.cluster);
  if (!cluster_) {
    return Error::invalid(arguments_.cluster.empty()
                              ? std::string("several clusters are configured")
                              : fmt::format("no cluster {} is configured", arguments_.cluster))
        .with_hint("--cluster NAME says which");
  }
  access_ = TRY(RepositoryAccess::open(config_, clock_));
  return {};
}

Result<void> RestoreRun::choose_places(const RestorePlan& plan) {
  if (!data_directory_) return {};
  const auto mappings = TRY(parse_mappings(arguments_.tablespace_map));
  tablespaces_ = TRY(place_tablespaces(plan.backup, *data_directory_, mappings));
  const auto version_directory = tablespace_version_directory(
      static_cast<int>(plan.backup.server_version_num / 10000), plan.backup.catalog_version);
  places_ = TRY(inspect_places(*data_directory_, tablespaces_, version_directory));
  return {};
}

// Nothing is replaced without --force, and with a person there not without a "yes".
Result<void> RestoreRun::confirm() const {
  const auto occupied = std::ranges::find_if(
      places_, [](const PlaceState& place) { return place.occupancy != Occupancy::kFree; });
  if (occupied == places_.end()) return {};
  if (!arguments_.force) {
    return Error::conflict(
               fmt::format("{} holds {}", occupied->path.string(), occupied->description))
        .with_hint("--force replaces it; or choose another --target-dir");
  }
  if (arguments_.yes || ::isatty(STDIN_FILENO) != 1) return {};
  const bool yes = TRY(ask_yes(fmt::format("{} will be deleted.", occupied->path.string())));
  if (!yes) return Error::cancelled("nothing was touched");
  return {};
}

Result<RecoveryPlan> RestoreRun::make_recovery_plan(const RestorePlan& plan,
                                                    const IncarnationStore& store) {
  const auto purpose =
      fmt::format("restore of backup {} to {}", plan.backup.id.text(), to_string(plan.target));
  const auto reservation =
      TRY(reserve_timeline(store, plan.timeline(), TimelineId(plan.timeline().value() + 1),
                           host_name(), purpose, clock_));
  std::error_code failure;
  auto program = std::filesystem::read_symlink("/proc/self/exe", failure);
  if (failure) return Error::from_errno(failure.value(), "/proc/self/exe");

  RecoveryPlan recovery;
  recovery.configuration = config_file_;
  recovery.cluster = cluster_->name;
  recovery.system_identifier = store.id().system_identifier;
  recovery.major_version = store.id().major_version;
  recovery.segment_size_bytes = store.segment_size().bytes();
  recovery.timeline = plan.timeline();
  recovery.new_timeline = reservation.timeline;
  recovery.segments = plan.segments;
  recovery.wal_start = plan.wal_start;
  recovery.target_lsn = plan.target_lsn;
  recovery.inclusive = plan.inclusive;
  recovery.target_record_end = plan.target_record_end;
  recovery.end = plan.end;
  recovery.target = asked_.given_time.value_or(to_string(plan.target));
  recovery.socket = TRY(choose_socket(*data_directory_));
  recovery.spool_directory = *data_directory_ / kRestoreDirectory / "spool";
  recovery.spool_limit_bytes = cluster_->spool.size_limit_bytes;
  recovery.program = std::move(program);
  return recovery;
}

Result<RestoreSummary> RestoreRun::restore(const RestorePlan& plan, const RecoveryPlan& recovery,
                                           const IncarnationStore& store) {
  RestoreOptions options;
  options.data_directory = *data_directory_;
  options.tablespaces = tablespaces_;
  options.replace = arguments_.force;
  options.workers = arguments_.jobs > 0
                        ? arguments_.jobs
                        : std::clamp(std::thread::hardware_concurrency(), 1u, kMostJobs);
  options.owner = TRY(owner_for(*data_directory_));
  options.action = action_;
  options.keep_archive_mode = keep_archive_mode_;
  options.wal_get_program = recovery.program.parent_path() / "pitr-wal-get";
  return restore_files(store, plan.backup, recovery, options, progress_);
}

Result<ServerReport> RestoreRun::start(const RecoveryPlan& recovery,
                                       const RestoreSummary& summary) {
  // Without it every segment takes longer, and no more than that.
  const auto serving = start_wal_serve(recovery.program, wal_get_plan_file(*data_directory_));
  if (!serving.has_value()) progress_.warn(serving.error().message());
  StartRequest request;
  request.data_directory = *data_directory_;
  request.binary_directory = arguments_.binary_directory;
  request.port = arguments_.port;
  request.settings = arguments_.settings;
  request.action = action_;
  request.missing_configuration = summary.missing_configuration;
  return start_restored_server(request, recovery, progress_, {});
}

RestoreView RestoreRun::view(const RestorePlan& plan) const {
  return {plan,         cluster_->name, asked_.zone, asked_.given_time, data_directory_,
          tablespaces_, places_,        action_,     keep_archive_mode_};
}

void RestoreRun::tell_what_comes_next(const RestoreOutcome& outcome) const {
  const auto& directory = data_directory_->string();
  fmt::print("Restored {} files, {}, into {}\n", outcome.files->files,
             format_bytes(outcome.files->bytes), directory);
  for (const auto& name : outcome.files->missing_configuration) {
    fmt::print("The backup holds no {}: the original keeps it outside its data directory.\n", name);
  }
  if (!outcome.server) {
    fmt::print("Start the server on it; recovery ends at the target and then does: {}.\n",
               to_string(action_));
    return;
  }
  const auto& server = *outcome.server;
  fmt::print("{}: {}\n", server.reached ? "Reached the target" : "FAILED to reach the target",
             server.says);
  if (server.port && action_ != RecoveryAction::kShutdown) {
    fmt::print("The server listens on port {}{}; its log is {}\n", *server.port,
               server.socket_directory.empty() ? "" : " and in " + server.socket_directory,
               server.log_file.string());
  }
  if (server.reached && action_ == RecoveryAction::kPause) {
    fmt::print("It is read-only. pg_promote() opens it; SELECT pg_promote();\n");
  }
}

Result<int> RestoreRun::run() {
  TRY(open());
  const auto request = TRY(parse_request(arguments_, asked_.target));
  const auto store = TRY(open_incarnation(access_->repository(), arguments_, cluster_->name));
  const WalArchive archive(store);
  const FactsStore facts(store);
  PlanSources sources{archive, facts, {}};
  sources.backups = TRY(BackupCatalog(store).manifests());
  const auto plan = TRY(make_plan(sources, request));
  TRY(choose_places(plan));

  RestoreOutcome outcome;
  if (!arguments_.json) fmt::print("{}", plan_text(view(plan)));
  std::fflush(stdout);
  if (arguments_.dry_run) {
    if (arguments_.json) fmt::print("{}", outcome_json(view(plan), outcome));
    return kExitSuccess;
  }
  TRY(confirm());
  const auto recovery = TRY(make_recovery_plan(plan, store));
  outcome.new_timeline = recovery.new_timeline;
  outcome.files = TRY(restore(plan, recovery, store));
  if (arguments_.start) outcome.server = TRY(start(recovery, *outcome.files));
  progress_.finish();
  if (arguments_.json) {
    fmt::print("{}", outcome_json(view(plan), outcome));
  } else {
    tell_what_comes_next(outcome);
  }
  std::fflush(stdout);
  return outcome.server && !outcome.server->reached ? kExitTargetMissed : kExitSuccess;
}

}  // namespace

int run_restore(const RestoreArguments& arguments) {
  auto code = RestoreRun(arguments).run();
  if (code.has_value()) return *code;
  const auto& error = code.error();
  fmt::print(stderr, "pitr-restore: {}\n", error.message());
  if (!error.hint().empty()) fmt::print(stderr, "hint: {}\n", error.hint());
  return exit_code(error.kind());
}

}  // namespace pitr
