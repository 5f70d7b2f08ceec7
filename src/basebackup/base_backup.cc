#include "basebackup/base_backup.h"

#include <fmt/format.h>

#include <random>

#include "basebackup/local_backup.h"
#include "basebackup/remote_backup.h"
#include "common/retry.h"
#include "repository/wal/wal_coverage.h"

namespace pitr {

namespace {

constexpr Milliseconds kWalPollInterval{50};

class BaseBackup {
 public:
  BaseBackup(const IncarnationStore& store, const WalArchive& archive, const FactsStore& facts,
             const BaseBackupRequest& request, const Clock& clock, Observer& observer,
             std::stop_token stop)
      : store_(store),
        archive_(archive),
        facts_(facts),
        request_(request),
        clock_(clock),
        observer_(observer),
        stop_(std::move(stop)) {}

  Result<BackupManifest> run();

 private:
  Result<CopiedFiles> copy_locally();
  Result<CopiedFiles> copy_remotely();
  Result<BackupWriter*> start_writer(Lsn start_lsn);
  BackupManifest describe(const CopiedFiles& copied) const;
  Result<void> wait_for_wal(const BackupManifest& manifest);
  void report(const BackupManifest& manifest);

  const IncarnationStore& store_;
  const WalArchive& archive_;
  const FactsStore& facts_;
  const BaseBackupRequest& request_;
  const Clock& clock_;
  Observer& observer_;
  const std::stop_token stop_;
  int server_version_num_ = 0;
  std::optional<BackupId> id_;
  std::unique_ptr<BackupWriter> writer_;
};

Result<BackupManifest> BaseBackup::run() {
  auto connection = TRY(Connection::open(request_.conninfo, {}, stop_));
  server_version_num_ = connection.server_version_num();
  auto copied = request_.data_directory ? copy_locally() : copy_remotely();
  const auto files = TRY(std::move(copied));
  observer_.phase("storing the block map", 0);
  const auto manifest = TRY(writer_->store_manifest(describe(files)));
  observer_.phase("waiting for the backup's WAL", 0);
  TRY(wait_for_wal(manifest));
  TRY(writer_->publish(manifest));
  report(manifest);
  return manifest;
}

Result<CopiedFiles> BaseBackup::copy_locally() {
  auto session = TRY(BackupSession::open(request_.conninfo, stop_));
  TRY(session.check_data_directory(*request_.data_directory));
  observer_.phase("waiting for a checkpoint", 0);
  const Lsn start_lsn = TRY(session.start(request_.label, request_.fast_checkpoint));
  BackupWriter* writer = TRY(start_writer(start_lsn));
  return copy_local_files(session, start_lsn, request_, *writer, observer_, stop_);
}

Result<CopiedFiles> BaseBackup::copy_remotely() {
  observer_.phase("waiting for a checkpoint", 0);
  return copy_remote_files(
      request_, [this](Lsn start_lsn) { return start_writer(start_lsn); }, observer_, stop_);
}

Result<BackupWriter*> BaseBackup::start_writer(Lsn start_lsn) {
  const Timestamp now = clock_.now();
  std::random_device random;
  const std::uint64_t bits = (static_cast<std::uint64_t>(random()) << 32) | random();
  id_ = BackupId::make(now, bits);
  const BackupIntent intent{*id_, request_.host, now, start_lsn, std::nullopt};
  writer_ = TRY(BackupWriter::start(store_, intent, request_.pack));
  return writer_.get();
}

BackupManifest BaseBackup::describe(const CopiedFiles& copied) const {
  BackupManifest manifest(*id_);
  manifest.incarnation = store_.id();
  manifest.method = request_.data_directory ? BackupMethod::kLocal : BackupMethod::kRemote;
  manifest.label = request_.label;
  manifest.host = request_.host;
  manifest.server_version_num = static_cast<std::uint32_t>(server_version_num_);
  manifest.segment_size_bytes = store_.segment_size().bytes();
  manifest.catalog_version = copied.control.catalog_version;
  manifest.timeline = copied.timeline;
  manifest.start_lsn = copied.start_lsn;
  manifest.stop_lsn = copied.stop_lsn;
  manifest.checkpoint_lsn = copied.checkpoint_lsn;
  manifest.start_time = copied.start_time;
  manifest.stop_time = copied.stop_time;
  manifest.from_standby = copied.from_standby;
  manifest.data_checksum_version = copied.control.data_checksum_version;
  manifest.wal_log_hints = copied.control.wal_log_hints;
  manifest.backup_label = copied.backup_label;
  manifest.tablespace_map = copied.tablespace_map;
  manifest.tablespaces = copied.tablespaces;
  manifest.read_bytes = copied.read_bytes;
  manifest.checksum_failures = copied.checksum_failures;
  manifest.checksum_failure_count = copied.checksum_failure_count;
  return manifest;
}

// A backup without its WAL is not one. Asks cheaply until the WAL is there.
Result<void> BaseBackup::wait_for_wal(const BackupManifest& manifest) {
  const auto history = TRY(stored_history(archive_, manifest.timeline));
  const auto deadline = clock_.steady_now() + request_.wal_timeout;
  while (true) {
    const auto coverage =
        TRY(wal_coverage(archive_, facts_, history, manifest.start_lsn, manifest.stop_lsn));
    if (coverage.ended_by.empty()) return {};
    if (clock_.steady_now() > deadline) {
      return Error::transient(fmt::format("the WAL of the backup ({} to {}) did not arrive in the "
                                          "repository: {}; the backup is not published",
                                          to_string(manifest.start_lsn),
                                          to_string(manifest.stop_lsn), coverage.ended_by))
          .with_hint("see whether pitr-agent streams: pitr status");
    }
    if (!sleep_for(kWalPollInterval, stop_)) return Error::cancelled("the backup was stopped");
  }
}

void BaseBackup::report(const BackupManifest& manifest) {
  if (manifest.checksum_failure_count == 0) return;
  const auto first =
      manifest.checksum_failures.empty()
          ? std::string()
          : fmt::format(", the first in {}, block {}", manifest.checksum_failures.front().path,
                        manifest.checksum_failures.front().block);
  observer_.warn(
      fmt::format("the backup holds {} page(s) with wrong checksums{}: the database is "
                  "damaged. The backup was kept; pitr show {} lists them",
                  manifest.checksum_failure_count, first, manifest.id.text()));
}

}  // namespace

Result<BackupManifest> take_base_backup(const IncarnationStore& store, const WalArchive& archive,
                                        const FactsStore& facts, const BaseBackupRequest& request,
                                        const Clock& clock, Observer& observer,
                                        std::stop_token stop) {
  return BaseBackup(store, archive, facts, request, clock, observer, std::move(stop)).run();
}

}  // namespace pitr
