#include "agent/cluster_service.h"

#include "agent/audit/audited_expire.h"
#include "agent/jobs/backup_progress.h"
#include "agent/repository_access.h"
#include "common/log.h"
#include "common/retry.h"

namespace pitr {

static constexpr RetryPolicy kFirstContact{Milliseconds(200), Milliseconds(15'000), 0};
static constexpr Milliseconds kSuperviseInterval{2'000};

static WalReceiverOptions receiver_options(const ClusterConfig& config, ClusterCounters& counters) {
  auto options = wal_receiver_options(config);
  options.segment_counts = &counters.segments;
  return options;
}

ClusterService::Opened::Opened(const IncarnationStore& store, const ClusterConfig& config,
                               ClusterCounters& counters, Clock& clock)
    : archive(store, wal_archive_options(config.wal)),
      facts(store),
      ingest(archive, facts, &counters.segments),
      receiver(archive, facts, clock, receiver_options(config, counters)) {}

ClusterService::ClusterService(Repository& repository, ClusterConfig config, Clock& clock,
                               EventSink* events)
    : repository_(repository),
      config_(std::move(config)),
      clock_(clock),
      events_(config_.name, clock, events),
      backup_(config_.backup),
      retention_(config_.retention),
      verify_period_(config_.schedule.verify_period) {}

ClusterService::~ClusterService() {
  request_stop();
}

void ClusterService::start_streaming() {
  {
    std::lock_guard lock(mutex_);
    is_streaming_ = true;
  }
  streaming_ = std::jthread([this] { stream(stop_.get_token()); });
}

void ClusterService::request_stop() {
  stop_.request_stop();
}

void ClusterService::set_policies(const ClusterConfig& config) {
  std::lock_guard lock(mutex_);
  backup_ = config.backup;
  retention_ = config.retention;
  verify_period_ = config.schedule.verify_period;
}

BackupConfig ClusterService::backup_config() const {
  std::lock_guard lock(mutex_);
  return backup_;
}

RetentionConfig ClusterService::retention_config() const {
  std::lock_guard lock(mutex_);
  return retention_;
}

VerifyOptions ClusterService::verify_options() const {
  std::lock_guard lock(mutex_);
  VerifyOptions options;
  options.depth = VerifyDepth::kFull;
  options.cycle = VerifyCycle{verify_period_, 0};
  options.workers = 1;
  options.max_rate_bytes_per_second = backup_.max_rate_bytes_per_second.value_or(0);
  return options;
}

// ---- Which incarnation
// ---------------------------------------------------------------------------

std::shared_ptr<ClusterService::Opened> ClusterService::opened() const {
  std::lock_guard lock(mutex_);
  return opened_;
}

// Replaces what was opened before only where it is another incarnation.
std::shared_ptr<ClusterService::Opened> ClusterService::adopt(const IncarnationStore& store) {
  std::lock_guard lock(mutex_);
  if (!opened_ || opened_->archive.store().id() != store.id()) {
    if (opened_) {
      const auto former = opened_->receiver.status();
      counters_.former_connections += former.connections;
      counters_.former_gaps += former.gaps;
    }
    opened_ = std::make_shared<Opened>(store, config_, counters_, clock_);
  }
  trouble_.clear();
  return opened_;
}

Result<std::shared_ptr<ClusterService::Opened>> ClusterService::open(const ServerIdentity& server) {
  auto store = TRY(open_incarnation(repository_, config_.name, server, TakeUp::kFirst, clock_));
  return adopt(store);
}

Result<std::shared_ptr<ClusterService::Opened>> ClusterService::open_by_server(
    std::stop_token stop) {
  const auto server = TRY(ask_server_identity(config_.connection, stop));
  return open(server);
}

// A server that shuts down archives its last segments without answering connections any more, so
// the data directory around the file is asked, and the repository where that can't be read.
Result<std::shared_ptr<ClusterService::Opened>> ClusterService::open_by_file(
    const ArchivedFile& file) {
  if (auto known = opened()) return known;
  if (file.origin) return open(*file.origin);
  auto store = TRY(newest_incarnation(repository_, config_.name));
  return adopt(store);
}

// ---- Streaming
// -----------------------------------------------------------------------------------

void ClusterService::note_trouble(const Error& error) {
  std::lock_guard lock(mutex_);
  if (trouble_ == error.message()) return;
  trouble_ = error.message();
  log::warning("cluster {}: {}{}{}", config_.name, error.message(),
               error.hint().empty() ? "" : "; ", error.hint());
}

void ClusterService::stream(std::stop_token stop) {
  Backoff backoff(kFirstContact);
  StreamWatch watch;
  while (!stop.stop_requested()) {
    auto opened = open_by_server(stop);
    if (opened) {
      log::info("cluster {}: {} is {} in the repository", config_.name,
                describe_conninfo(config_.connection), to_string((*opened)->archive.store().id()));
      backoff.reset();
      watch.begin_receiver();
      supervise(**opened, watch, stop);
      continue;
    }
    if (stop.stop_requested()) return;
    note_trouble(opened.error());
    events_.publish(watch.look(opened.error(), clock_.steady_now()));
    if (!sleep_for(backoff.next_delay(), stop)) return;
  }
}

// The receiver never gives up. It is ended here when pitr init has taken up another database under
// the name, so that the agent follows.
void ClusterService::supervise(Opened& opened, StreamWatch& watch, std::stop_token stop) {
  std::jthread receiving([&](std::stop_token end) { (void)opened.receiver.run(end); });
  const std::stop_callback forward(stop, [&] { receiving.request_stop(); });
  while (sleep_for(kSuperviseInterval, stop)) {
    const auto status = opened.receiver.status();
    events_.publish(watch.look(status, clock_.steady_now()));
    if (status.last_error_kind != ErrorKind::kInvalid) continue;
    const auto replaced = was_replaced(opened);
    if (!replaced || !*replaced) continue;
    log::info("cluster {}: another database was taken up; going on with that", config_.name);
    receiving.request_stop();
    return;
  }
}

Result<bool> ClusterService::was_replaced(const Opened& opened) {
  const auto newest = TRY(newest_incarnation(repository_, config_.name));
  return newest.id() != opened.archive.store().id();
}

// ---- Archiving
// -----------------------------------------------------------------------------------

Result<PutOutcome> ClusterService::archive_wal(const Path& path) {
  const Stopwatch watch;
  auto outcome = read_and_store(path);
  counters_.count_archived(outcome, watch.elapsed());
  return outcome;
}

Result<PutOutcome> ClusterService::read_and_store(const Path& path) {
  const auto file = TRY(read_archived_file(path));
  const auto opened = TRY(open_by_file(file));
  return store_archived_file(opened->ingest, file);
}

// ---- Expiry
// --------------------------------------------------------------------------------------

Result<ExpireReport> ClusterService::expire_in_turn(const AskedBy& asked_by, std::stop_token stop) {
  auto report = expire_audited(repository_, config_.name, expire_options(retention_config()),
                               asked_by, clock_, std::move(stop));
  if (report) counters_.count_expired(*report);
  events_.expire_ended(report);
  return report;
}

// ---- Checks
// --------------------------------------------------------------------------------------

void ClusterService::note_check(CheckReport report) {
  Findings before;
  const Findings after = report.findings;
  {
    std::lock_guard lock(mutex_);
    if (check_) before = std::move(check_->findings);
    check_ = std::move(report);
  }
  // Without the lock: who is told may keep others waiting.
  log_changes(config_.name, before, after);
  events_.check_ended(before, after);
}

// ---- Status
// --------------------------------------------------------------------------------------

ServiceStatus ClusterService::status() const {
  ServiceStatus status;
  std::lock_guard lock(mutex_);
  if (opened_ && is_streaming_) status.receiver = opened_->receiver.status();
  status.trouble = trouble_;
  status.last_backup_run = last_backup_run_;
  status.check = check_;
  // A check is minutes old; nobody shall read "there is no backup" right after his first one.
  const bool has_backup = last_backup_run_ && !last_backup_run_->backup.empty();
  if (check_ && has_backup && last_backup_run_->time > check_->time) {
    status.check->findings.forget_trouble_with("backups");
  }
  if (running_backup_) {
    const auto progress = running_backup_->snapshot();
    status.running_backup = RunningBackup{backup_started_, "starting", progress.done_bytes, 0};
    if (!progress.phases.empty()) {
      status.running_backup->phase = progress.phases.back().name;
      status.running_backup->total_bytes = progress.phases.back().total_bytes;
    }
  }
  return status;
}

}  // namespace pitr
