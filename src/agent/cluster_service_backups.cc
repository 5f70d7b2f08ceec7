// The part of ClusterService that takes base backups.
#include <fmt/format.h>
#include <unistd.h>

#include "agent/cluster_service.h"
#include "agent/host.h"
#include "agent/jobs/backup_progress.h"
#include "agent/repository_access.h"
#include "common/log.h"
#include "common/retry.h"

namespace pitr {

static constexpr Milliseconds kStreamPatience = Seconds(20);
static constexpr Milliseconds kStreamPollInterval{50};

namespace {

// Keeps progress for the status, and passes everything on.
class TeeObserver final : public Observer {
 public:
  TeeObserver(Observer& first, Observer& second) : first_(first), second_(second) {}
  void phase(std::string_view name, std::uint64_t total_bytes) override {
    first_.phase(name, total_bytes);
    second_.phase(name, total_bytes);
  }
  void advance(std::uint64_t bytes) override {
    first_.advance(bytes);
    second_.advance(bytes);
  }
  void warn(std::string_view message) override {
    first_.warn(message);
    second_.warn(message);
  }

 private:
  Observer& first_;
  Observer& second_;
};

bool is_readable(const Path& data_directory) {
  return ::access((data_directory / "global" / "pg_control").c_str(), R_OK) == 0;
}

}  // namespace

Result<BaseBackupRequest> ClusterService::backup_request(const BackupOptions& options,
                                                         Observer& observer) const {
  using Method = BackupConfig::Method;
  const auto backup = backup_config();
  BaseBackupRequest request;
  request.conninfo = config_.connection;
  request.host = host_name();
  request.read = options.read;
  if (!options.label.empty()) request.label = options.label;
  request.fast_checkpoint = backup.checkpoint == BackupConfig::Checkpoint::kFast;
  request.verify_checksums = backup.verify_checksums;
  request.workers = options.workers.value_or(backup.workers);
  request.max_rate_bytes_per_second = backup.max_rate_bytes_per_second.value_or(0);
  request.pack = pack_options(backup.compression);
  request.good_for = retention_config().grace;
  request.keep_server_manifest = options.keep_server_manifest;

  const Method method = options.method.value_or(backup.method);
  if (method == Method::kRemote || (method == Method::kAuto && options.keep_server_manifest)) {
    return request;
  }
  if (options.keep_server_manifest) {
    return Error::invalid("the server's manifest exists only in remote backups")
        .with_hint("say --remote as well");
  }
  if (!config_.data_directory) {
    if (method == Method::kAuto) return request;
    return Error::invalid("a local backup needs to know the data directory of cluster " +
                          config_.name)
        .with_hint("set data_directory in the configuration");
  }
  if (method == Method::kAuto && !is_readable(*config_.data_directory)) {
    observer.warn(fmt::format("{} cannot be read here, so the backup comes over the connection",
                              config_.data_directory->native()));
    return request;
  }
  request.data_directory = config_.data_directory;
  return request;
}

std::shared_ptr<BackupProgress> ClusterService::begin_backup() {
  std::lock_guard lock(mutex_);
  running_backup_ = std::make_shared<BackupProgress>();
  backup_started_ = clock_.now();
  return running_backup_;
}

void ClusterService::end_backup(const Result<BackupManifest>& result) {
  std::lock_guard lock(mutex_);
  running_backup_.reset();
  last_backup_run_ = EndedBackup{clock_.now(), {}, {}};
  if (result) {
    last_backup_run_->backup = result->id.text();
  } else {
    last_backup_run_->error = result.error().message();
  }
}

void ClusterService::audit_backup(const BackupOptions& options,
                                  const Result<BackupManifest>& result) const {
  AuditEntry entry;
  entry.operation = AuditedOperation::kBackup;
  entry.cluster = config_.name;
  entry.reason = options.reason;
  if (options.asked_by) entry.actor = *options.asked_by;
  if (!options.label.empty()) entry.details["label"] = options.label;
  if (result) {
    entry.details["backup"] = result->id.text();
    entry.details["stored_bytes"] = std::to_string(result->stored_bytes);
  } else {
    entry.error = result.error().message();
  }
  AuditTrail(repository_, clock_).record(std::move(entry));
}

Result<BackupManifest> ClusterService::run_backup(const BackupOptions& options,
                                                  BackupProgress& progress, Observer& observer,
                                                  std::stop_token stop) {
  TeeObserver both(progress, observer);
  const auto request = TRY(backup_request(options, both));
  const auto opened = TRY(open_by_server(stop));
  TRY(wait_for_stream(both, stop));
  log::info("cluster {}: {} backup started", config_.name,
            request.data_directory ? "local" : "remote");
  return take_base_backup(opened->archive.store(), opened->archive, opened->facts, request, clock_,
                          both, stop);
}

// A backup begins with a checkpoint, which may remove WAL that no slot holds yet, as after a
// restore of the server. Where streaming is in trouble archive_command may still bring the WAL.
Result<void> ClusterService::wait_for_stream(Observer& observer, std::stop_token stop) const {
  const auto deadline = clock_.steady_now() + kStreamPatience;
  bool is_told = false;
  while (true) {
    const auto now = status();
    if (!now.receiver || now.receiver->state == WalReceiverState::kStreaming) return {};
    if (!std::exchange(is_told, true)) observer.phase("waiting for WAL to stream", 0);
    if (clock_.steady_now() > deadline) {
      observer.warn(fmt::format("WAL isn't streamed{}; without it the backup won't be complete",
                                now.receiver->last_error.empty()
                                    ? std::string()
                                    : " (" + now.receiver->last_error + ")"));
      return {};
    }
    if (!sleep_for(kStreamPollInterval, stop)) return Error::cancelled("the backup was stopped");
  }
}

Result<BackupManifest> ClusterService::take_backup(const BackupOptions& options, Observer& observer,
                                                   std::stop_token stop) {
  std::stop_source either;
  const std::stop_callback from_caller(stop, [&] { either.request_stop(); });
  const std::stop_callback from_service(stop_.get_token(), [&] { either.request_stop(); });
  const auto turn = TRY(turn_.take("a backup", either.get_token(), [&](const std::string& other) {
    observer.phase(fmt::format("waiting for {} to end", other), 0);
  }));
  return take_backup_in_turn(options, observer, either.get_token());
}

Result<BackupManifest> ClusterService::take_backup_in_turn(const BackupOptions& options,
                                                           Observer& observer,
                                                           std::stop_token stop) {
  std::stop_source either;
  const std::stop_callback from_caller(stop, [&] { either.request_stop(); });
  const std::stop_callback from_service(stop_.get_token(), [&] { either.request_stop(); });
  const auto progress = begin_backup();
  auto result = run_backup(options, *progress, observer, either.get_token());
  end_backup(result);
  counters_.count_backup(result, clock_.now());
  audit_backup(options, result);
  events_.backup_ended(result);
  if (result && result->promise.unexplained_count > 0) {
    log::error("cluster {}: backup {} found {} blocks that changed without WAL", config_.name,
               result->id.text(), result->promise.unexplained_count);
  }
  return result;
}

}  // namespace pitr
