#include "programs/pitr_restore/restore_run.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <system_error>
#include <thread>

#include "agent/audit/audit_trail.h"
#include "agent/host.h"
#include "agent/reports/known_damage.h"
#include "agent/repository_access.h"
#include "config/load.h"
#include "postgres/data_directory.h"
#include "programs/exit_codes.h"
#include "programs/pitr_restore/restore_advice.h"
#include "programs/pitr_restore/restore_checks.h"
#include "programs/pitr_restore/restore_notice.h"
#include "programs/pitr_restore/restore_recovery.h"
#include "programs/pitr_restore/restore_request.h"
#include "programs/pitr_restore/restore_rewrite.h"
#include "programs/pitr_restore/restore_stop.h"
#include "programs/pitr_restore/restore_view.h"
#include "programs/restore_lease.h"
#include "programs/terminal_progress.h"
#include "programs/wal_serve.h"

namespace pitr {

namespace {

constexpr unsigned kMostJobs = 8;
constexpr const char* kMissed = "the server did not reach the target";

class RestoreRun {
 public:
  explicit RestoreRun(const RestoreArguments& arguments)
      : arguments_(arguments), progress_(TerminalProgress::style_of(STDERR_FILENO)) {}

  Result<int> run();
  // Once the operator knows how it ended.
  void tell() const {
    if (event_) tell_of_restore(config_.notifications, *event_, clock_);
  }

 private:
  Result<void> open();
  Result<void> choose_data_directory();
  Result<void> lock_data_directory();
  Result<void> open_in_place(const IncarnationStore& store, WalArchive& archive, FactsStore& facts);
  Result<void> choose_places(const RestorePlan& plan);
  Result<std::vector<TablespaceMapping>> mappings(const RestorePlan& plan) const;
  RewritePlaces rewrite_places(const RestorePlan& plan) const;
  Result<void> prepare_rewrite(const RestorePlan& plan, const IncarnationStore& store);
  Result<void> make_undoable(const RestorePlan& plan);
  std::string undo_command(const BackupId& backup, TimelineId timeline) const;
  unsigned workers() const;
  Result<RestoreSummary> restore(const RestorePlan& plan, const RecoveryPlan& recovery,
                                 const IncarnationStore& store, std::stop_token stop);
  Result<ServerReport> start(const RecoveryPlan& recovery, const RestoreSummary& summary,
                             std::stop_token stop);
  RestoreView view(const RestorePlan& plan) const;
  std::string target_text(const RestorePlan& plan) const {
    return asked_.given_time.value_or(to_string(plan.target));
  }
  AuditEntry audit_entry(const RestorePlan& plan) const;
  Result<int> carry_out(const RestorePlan& plan, const IncarnationStore& store, LeaseKeeper& lease,
                        std::map<std::string, std::string>& details);

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
  std::optional<InPlaceRestore> in_place_;
  bool follows_own_timeline_ = false;
  std::optional<PreparedRewrite> rewrite_;
  std::optional<Event> event_;  // once something was touched
  UniqueFd lock_;               // of the data directory, while it is rewritten
};

Result<void> RestoreRun::open() {
  TRY(check_arguments(arguments_));
  asked_ = TRY(parse_target(arguments_));
  action_ = TRY(parse_recovery_action(arguments_.action));
  // In place it is the original that goes on.
  const auto archive_mode =
      arguments_.archive_mode.value_or(arguments_.in_place ? "preserve" : "off");
  keep_archive_mode_ = archive_mode == "preserve";
  ConfigSearch search;
  search.from_option = arguments_.config;
  const auto found = TRY(find_config_file(search));
  std::error_code failure;
  config_file_ = std::filesystem::absolute(found, failure);
  if (failure) return Error::from_errno(failure.value(), found.string());
  config_ = TRY(load_config(config_file_));
  cluster_ = TRY(find_cluster(config_, arguments_.cluster));
  TRY(choose_data_directory());
  access_ = TRY(RepositoryAccess::open(config_, clock_));
  return {};
}

Result<void> RestoreRun::choose_data_directory() {
  auto given = arguments_.target_directory;
  if (!given && arguments_.in_place) given = cluster_->data_directory;
  const bool rewrites = arguments_.delta || arguments_.in_place;
  if (!given) {
    if (arguments_.dry_run && !rewrites) return {};
    return Error::invalid("no --target-dir is given")
        .with_hint(arguments_.in_place ? "here it is the cluster's own data directory"
                                       : "--dry-run shows the plan without one");
  }
  std::error_code failure;
  auto absolute = std::filesystem::absolute(*given, failure);
  if (failure) return Error::from_errno(failure.value(), given->string());
  data_directory_ = absolute.lexically_normal();
  if (!data_directory_->has_filename()) data_directory_ = data_directory_->parent_path();
  TRY(check_apart(*data_directory_, config_.repository.path));
  return arguments_.dry_run ? Result<void>() : lock_data_directory();
}

// Two restores at once would each undo the other's checks.
Result<void> RestoreRun::lock_data_directory() {
  UniqueFd directory(::open(data_directory_->c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory) {
    if (errno == ENOENT) return {};
    return Error::from_errno(errno, data_directory_->string());
  }
  if (::flock(directory.get(), LOCK_EX | LOCK_NB) != 0) {
    return Error::conflict("another pitr-restore works on " + data_directory_->string());
  }
  lock_ = std::move(directory);
  return {};
}

static std::string version_directory_of(const RestorePlan& plan) {
  return tablespace_version_directory(static_cast<int>(plan.backup.server_version_num / 10000),
                                      plan.backup.catalog_version);
}

// Before the plan is made, which may need the WAL that only the cluster has.
Result<void> RestoreRun::open_in_place(const IncarnationStore& store, WalArchive& archive,
                                       FactsStore& facts) {
  in_place_ = TRY(InPlaceRestore::open(store, archive, facts, *data_directory_));
  if (!arguments_.dry_run) {
    progress_.phase("archiving the cluster's own WAL", 0);
    TRY(in_place_->archive_wal());
  }
  return {};
}

Result<void> RestoreRun::choose_places(const RestorePlan& plan) {
  if (!data_directory_) return {};
  const auto where = TRY(mappings(plan));
  tablespaces_ = TRY(place_tablespaces(plan.backup, *data_directory_, where));
  for (const auto& tablespace : tablespaces_) {
    if (!tablespace.location.empty()) {
      TRY(check_apart(tablespace.location, config_.repository.path));
    }
  }
  const auto version_directory = version_directory_of(plan);
  auto* const inspect = arguments_.delta && arguments_.force ? inspect_any_places : inspect_places;
  places_ = TRY(inspect(*data_directory_, tablespaces_, version_directory));
  return {};
}

// In place, tablespaces stay where the cluster has them now.
Result<std::vector<TablespaceMapping>> RestoreRun::mappings(const RestorePlan& plan) const {
  if (!arguments_.in_place) return parse_mappings(arguments_.tablespace_map);
  return tablespace_links(*data_directory_, plan.backup);
}

RewritePlaces RestoreRun::rewrite_places(const RestorePlan& plan) const {
  return {*data_directory_, tablespaces_, version_directory_of(plan), workers()};
}

unsigned RestoreRun::workers() const {
  if (arguments_.jobs > 0) return arguments_.jobs;
  return std::clamp(std::thread::hardware_concurrency(), 1u, kMostJobs);
}

Result<void> RestoreRun::prepare_rewrite(const RestorePlan& plan, const IncarnationStore& store) {
  const auto places = rewrite_places(plan);
  rewrite_ =
      TRY(in_place_
              ? in_place_->prepare(plan, places, arguments_.dry_run, progress_)
              : with_damage_hint(prepare_delta(store, plan, places, arguments_.force, progress_)));
  progress_.finish();
  if (!in_place_) return {};
  auto& view = rewrite_->view;
  view.is_own_timeline = follows_own_timeline_;
  const auto& journal = rewrite_->rewrite.journal;
  if (!journal.undo.empty()) {
    view.safety = "taken before the interruption; undo: " + journal.undo;
    return {};
  }
  const auto obstacle = in_place_->why_no_safety();
  if (arguments_.no_safety) {
    view.safety = "none (--no-safety): this cannot be undone";
  } else if (obstacle.empty()) {
    view.safety = "a backup of what is overwritten is taken first";
  } else {
    return Error::invalid("no safety backup can be taken: " + obstacle)
        .with_hint("--no-safety goes on without one; there is no undo then");
  }
  return {};
}

std::string RestoreRun::undo_command(const BackupId& backup, TimelineId timeline) const {
  return fmt::format(
      "pitr-restore --config {} --cluster {} --backup {} --timeline {} --immediate "
      "--in-place --no-safety --target-dir {}",
      config_file_.string(), cluster_->name, backup.text(), to_string(timeline),
      data_directory_->string());
}

Result<void> RestoreRun::make_undoable(const RestorePlan& plan) {
  if (rewrite_) TRY(check_same_control(*data_directory_, rewrite_->rewrite.control));
  if (!in_place_ || arguments_.no_safety || !rewrite_->rewrite.journal.undo.empty()) return {};
  auto taken = in_place_->take_safety_backup(plan, *rewrite_, rewrite_places(plan), host_name(),
                                             clock_, progress_);
  if (!taken.has_value()) {
    return std::move(taken)
        .error()
        .with_context("the safety backup")
        .with_hint(
            "nothing was touched; --no-safety goes on without one, and there is no undo then");
  }
  rewrite_->rewrite.journal.undo = undo_command(*taken, in_place_->cluster().timeline);
  return {};
}

Result<RestoreSummary> RestoreRun::restore(const RestorePlan& plan, const RecoveryPlan& recovery,
                                           const IncarnationStore& store, std::stop_token stop) {
  RestoreOptions options;
  options.data_directory = *data_directory_;
  options.tablespaces = tablespaces_;
  options.replace = arguments_.force;
  options.workers = workers();
  if (rewrite_) options.rewrite = &rewrite_->rewrite;
  options.owner = TRY(owner_for(*data_directory_));
  options.action = action_;
  options.keep_archive_mode = keep_archive_mode_;
  options.wal_get_program = recovery.program.parent_path() / "pitr-wal-get";
  return restore_files(store, plan.backup, recovery, options, progress_, std::move(stop));
}

Result<ServerReport> RestoreRun::start(const RecoveryPlan& recovery, const RestoreSummary& summary,
                                       std::stop_token stop) {
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
  return start_restored_server(request, recovery, progress_, std::move(stop));
}

RestoreView RestoreRun::view(const RestorePlan& plan) const {
  const auto* rewrite = rewrite_ ? &rewrite_->view : nullptr;
  return {plan,         cluster_->name, asked_.zone, asked_.given_time,  data_directory_,
          tablespaces_, places_,        action_,     keep_archive_mode_, rewrite};
}

Result<int> RestoreRun::run() {
  TRY(open());
  const auto store = TRY(open_incarnation(access_->repository(), arguments_, cluster_->name));
  WalArchive archive(store);
  FactsStore facts(store);
  if (arguments_.in_place) TRY(open_in_place(store, archive, facts));
  PlanSources sources{archive, facts, {}};
  sources.backups = TRY(with_damage_hint(BackupCatalog(store).manifests()));
  auto request = TRY(parse_request(arguments_, asked_, sources.backups, cluster_->name));
  const bool leaves_timeline_open = !request.timeline && !request.backup && !arguments_.immediate;
  if (in_place_ && leaves_timeline_open) {
    request.timeline = in_place_->own_timeline();
    follows_own_timeline_ = request.timeline.has_value();
  }
  auto plan = TRY(with_damage_hint(make_plan(sources, request)));
  for (const auto& pack : damage_of(plan.backup, store, TRY(known_damage(store)))) {
    plan.warnings.push_back(
        "verification found " + pack +
        " damaged, and the backup needs it: the restore will stop there, unless "
        "it was mended since; --backup takes another one");
  }
  TRY(check_programs(arguments_, plan));
  TRY(choose_places(plan));
  if (in_place_ || arguments_.delta) TRY(prepare_rewrite(plan, store));

  if (!arguments_.json) fmt::print("{}", plan_text(view(plan)));
  std::fflush(stdout);
  if (arguments_.dry_run) {
    if (arguments_.json) fmt::print("{}", outcome_json(view(plan), {}));
    return kExitSuccess;
  }
  const auto lease = TRY(hold_for_restore(store, plan));
  TRY(confirm_replacing(places_, rewrite_.has_value(), arguments_));
  auto entry = audit_entry(plan);
  auto result = carry_out(plan, store, *lease, entry.details);
  event_ = restore_event(cluster_->name, result, entry.details);
  if (!result.has_value()) entry.error = result.error().message();
  if (result.has_value() && *result != kExitSuccess) entry.error = kMissed;
  AuditTrail(access_->repository(), clock_).record(std::move(entry));
  return result;
}

AuditEntry RestoreRun::audit_entry(const RestorePlan& plan) const {
  AuditEntry entry;
  entry.operation = AuditedOperation::kRestore;
  entry.cluster = cluster_->name;
  entry.reason = arguments_.reason;
  entry.details = {{"backup", plan.backup.id.text()},
                   {"target", target_text(plan)},
                   {"target_lsn", to_string(plan.target_lsn)},
                   {"directory", data_directory_->string()},
                   {"how", in_place_          ? "in place"
                           : arguments_.delta ? "delta"
                                              : "whole"}};
  return entry;
}

Result<int> RestoreRun::carry_out(const RestorePlan& plan, const IncarnationStore& store,
                                  LeaseKeeper& lease, std::map<std::string, std::string>& details) {
  RestoreOutcome outcome;
  TRY(make_undoable(plan));
  if (rewrite_) outcome.undo = rewrite_->rewrite.journal.undo;
  const auto recovery = TRY(make_recovery_plan(
      plan, store, {config_file_, *cluster_, *data_directory_, target_text(plan)}, clock_));
  outcome.new_timeline = recovery.new_timeline;
  RestoreStop stop(*data_directory_);
  auto files = restore(plan, recovery, store, stop.token());
  if (!files.has_value()) return stop.explained(with_damage_hint(std::move(files).error()));
  stop.files_are_done();
  outcome.files = std::move(files).value();
  if (arguments_.start) outcome.server = TRY(start(recovery, *outcome.files, stop.token()));
  lease.leave_for(kLeaseAfterRestore);
  progress_.finish();
  const auto shown = view(plan);
  fmt::print("{}", arguments_.json ? outcome_json(shown, outcome) : outcome_text(shown, outcome));
  std::fflush(stdout);
  details["new_timeline"] = to_string(recovery.new_timeline);
  if (!outcome.server) return kExitSuccess;
  details["target_reached"] = outcome.server->reached ? "yes" : "no";
  return outcome.server->reached ? kExitSuccess : kExitTargetMissed;
}

}  // namespace

int run_restore(const RestoreArguments& arguments) {
  RestoreRun run(arguments);
  const auto code = run.run();
  if (!code.has_value()) {
    const auto& error = code.error();
    fmt::print(stderr, "pitr-restore: {}\n", error.message());
    if (!error.hint().empty()) fmt::print(stderr, "hint: {}\n", error.hint());
  }
  run.tell();
  return code.has_value() ? *code : exit_code(code.error().kind());
}

}  // namespace pitr
