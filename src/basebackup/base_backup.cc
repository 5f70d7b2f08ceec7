#include "basebackup/base_backup.h"

#include <fmt/format.h>

#include <algorithm>
#include <random>

#include "basebackup/backup_basis.h"
#include "basebackup/backup_wal.h"
#include "basebackup/copied_databases.h"
#include "basebackup/local_backup.h"
#include "basebackup/remote_backup.h"
#include "common/retry.h"
#include "repository/wal/wal_coverage.h"

namespace pitr {

namespace {

constexpr Milliseconds kWalPollInterval{50};
constexpr std::size_t kMostListed = 1000;  // unexplained blocks in a manifest

// Of a timeline whose history nobody has, no other one counts.
Result<TimelineHistory> history_or_none(Result<TimelineHistory> history, TimelineId timeline) {
  if (history || history.error().kind() != ErrorKind::kNotFound) return history;
  return TimelineHistory::without_ancestors(timeline);
}

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
  bool has_parent() const { return basis_.parent.has_value(); }

 private:
  Result<CopiedFiles> copy_locally();
  Result<CopiedFiles> copy_remotely();
  Result<void> choose_remotely(const RemoteServer& server);
  Result<BackupWriter*> start_remote_changes(Lsn start_lsn, TimelineId timeline);
  Result<void> choose(BasisRequest basis, TimelineHistory history);
  Result<BackupWriter*> start_writer(Lsn start_lsn);
  BackupManifest describe(const CopiedFiles& copied) const;
  Result<void> judge_promise(const CopiedFiles& copied, BackupManifest& manifest);
  Result<void> wait_for_wal(const BackupManifest& manifest, const TimelineHistory& history);
  void report_unexplained(const BackupManifest& manifest);
  void report(const BackupManifest& manifest);

  const IncarnationStore& store_;
  const WalArchive& archive_;
  const FactsStore& facts_;
  const BaseBackupRequest& request_;
  const Clock& clock_;
  Observer& observer_;
  const std::stop_token stop_;
  int server_version_num_ = 0;
  ClusterNow cluster_;  // as the choice was made
  BackupBasis basis_;
  std::optional<BackupId> id_;
  std::unique_ptr<BackupWriter> writer_;
};

Result<BackupManifest> BaseBackup::run() {
  auto connection = TRY(Connection::open(request_.conninfo, {}, stop_));
  server_version_num_ = connection.server_version_num();
  auto copied = request_.data_directory ? copy_locally() : copy_remotely();
  const auto files = TRY(std::move(copied));
  auto described = describe(files);
  TRY(judge_promise(files, described));
  observer_.phase("storing the block map", 0);
  auto manifest = TRY(writer_->store_manifest(std::move(described)));
  observer_.phase("waiting for the backup's WAL", 0);
  const auto history = TRY(stored_history(archive_, manifest.timeline));
  TRY(wait_for_wal(manifest, history));
  TRY(check_backup_wal(
      archive_, history,
      {manifest.start_lsn, manifest.checkpoint_lsn, manifest.stop_lsn, manifest.from_standby}));
  TRY(check_copied_databases(archive_, facts_, history, manifest.start_lsn, manifest.stop_lsn));
  TRY(writer_->publish(manifest));
  report(manifest);
  return manifest;
}

Result<CopiedFiles> BaseBackup::copy_locally() {
  auto session = TRY(BackupSession::open(request_.conninfo, stop_));
  TRY(session.check_data_directory(*request_.data_directory));
  observer_.phase("waiting for a checkpoint", 0);
  const Lsn start_lsn = TRY(session.start(request_.label, request_.fast_checkpoint));

  const auto control = TRY(read_control_file(*request_.data_directory));
  BasisRequest basis;
  basis.now.start_lsn = start_lsn;
  basis.now.data_checksum_version = control.data_checksum_version;
  basis.wal_log_hints = control.wal_log_hints;
  basis.from_standby = session.is_standby();
  auto history = TRY(history_or_none(
      cluster_history(request_.data_directory, archive_, control.timeline), control.timeline));
  TRY(choose(std::move(basis), std::move(history)));
  BackupWriter* writer = TRY(start_writer(start_lsn));
  auto copied = TRY(
      copy_local_files(session, start_lsn, request_, basis_, store_, *writer, observer_, stop_));
  if (copied.timeline != control.timeline) {
    return Error::transient(
               fmt::format("the backup started on timeline {}, but the server is on {}",
                           copied.timeline.value(), control.timeline.value()))
        .with_hint("start it again");
  }
  // Its minimum recovery point is on the new timeline then, where no restore could reach it.
  if (copied.from_standby && copied.control.min_recovery_timeline != copied.timeline) {
    return Error::transient(
               fmt::format("the standby has gone from timeline {} to {} during the backup",
                           copied.timeline.value(), copied.control.min_recovery_timeline.value()))
        .with_hint("start it again");
  }
  return copied;
}

// What is to be sent is asked for before the start is known. A server that refuses sends
// everything.
Result<CopiedFiles> BaseBackup::copy_remotely() {
  const auto server = TRY(ask_remote_server(request_.conninfo, stop_));
  TRY(choose_remotely(server));
  observer_.phase("waiting for a checkpoint", 0);
  if (basis_.reading == BackupReading::kChangedBlocks) {
    const StartWriter start = [&](Lsn start_lsn, TimelineId timeline) {
      return start_remote_changes(start_lsn, timeline);
    };
    std::string refusal;
    auto copied = TRY(
        copy_remote_changes(request_, server, store_, basis_, start, observer_, stop_, refusal));
    if (copied) return std::move(*copied);
    basis_.reading = BackupReading::kCompared;
    basis_.reason = fmt::format("the server can't send only what changed since backup {}: {}",
                                basis_.parent->id.text(), refusal);
  }
  const StartWriter start = [&](Lsn start_lsn, TimelineId) { return start_writer(start_lsn); };
  return copy_remote_files(request_, server, start, observer_, stop_);
}

Result<void> BaseBackup::choose_remotely(const RemoteServer& server) {
  BasisRequest basis;
  basis.now.start_lsn = server.position;
  basis.changes_until = server.checkpoint_redo;
  basis.now.data_checksum_version = server.data_checksums ? 1 : 0;
  basis.now.all_is_sent = why_all_is_sent(server, request_.keep_server_manifest);
  basis.wal_log_hints = server.wal_log_hints;
  basis.from_standby = server.is_standby;
  auto history = TRY(
      history_or_none(server.history ? *server.history : stored_history(archive_, server.timeline),
                      server.timeline));
  return choose(std::move(basis), std::move(history));
}

// The choice was made for a start that wasn't known yet.
Result<BackupWriter*> BaseBackup::start_remote_changes(Lsn start_lsn, TimelineId timeline) {
  auto now = cluster_;
  now.start_lsn = start_lsn;
  auto unfit = timeline == now.history.timeline() ? unfit_by_history(*basis_.parent, now)
                                                  : std::string("the server's timeline changed");
  if (unfit.empty()) {
    auto changes = TRY(wait_for_changes(archive_, facts_, now.history, basis_.parent->start_lsn,
                                        start_lsn, request_.changes_timeout, clock_, stop_));
    unfit = std::move(changes.not_covered);
    basis_.changed = std::move(changes.blocks);
  }
  if (!unfit.empty()) return Error::conflict(std::move(unfit));
  return start_writer(start_lsn);
}

Result<void> BaseBackup::choose(BasisRequest basis, TimelineHistory history) {
  observer_.phase("looking for what changed", 0);
  basis.read = request_.read;
  basis.wal_timeout = request_.changes_timeout;
  basis.now.incarnation = store_.id();
  basis.now.method = request_.data_directory ? BackupMethod::kLocal : BackupMethod::kRemote;
  basis.now.history = std::move(history);
  cluster_ = basis.now;
  basis_ = TRY(find_basis(archive_, facts_, basis, clock_, observer_, stop_));
  // The server knows nothing of them, and sends what changed.
  const bool sends_changes =
      !request_.data_directory && basis_.reading == BackupReading::kChangedBlocks;
  if (sends_changes && !basis_.leave_packs.empty()) {
    basis_.reading = BackupReading::kCompared;
    basis_.reason = fmt::format("packs of backup {} are damaged, so the server sends everything",
                                basis_.parent->id.text());
  }
  return {};
}

Result<BackupWriter*> BaseBackup::start_writer(Lsn start_lsn) {
  const Timestamp now = clock_.now();
  std::random_device random;
  const std::uint64_t bits = (static_cast<std::uint64_t>(random()) << 32) | random();
  id_ = BackupId::make(now, bits);
  BackupIntent intent{*id_, request_.host, now, start_lsn, std::nullopt, request_.good_for};
  std::optional<ParentBackup> parent;
  if (basis_.parent) {
    intent.parent = basis_.parent->id;
    parent = ParentBackup{*basis_.parent, basis_.leave_packs};
  }
  writer_ = TRY(BackupWriter::start(store_, intent, request_.pack, std::move(parent), clock_));
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
  manifest.reading = basis_.reading;
  manifest.reading_reason = basis_.reason;
  if (request_.data_directory && checks_promise(basis_)) {
    manifest.promise.against = basis_.promised->id;
    manifest.promise.checked_blocks = copied.checked_blocks;
  }
  return manifest;
}

// What the WAL that was written during the backup names has its reason there.
Result<void> BaseBackup::judge_promise(const CopiedFiles& copied, BackupManifest& manifest) {
  if (copied.broken_promises.empty()) return {};
  observer_.phase("looking for what changed during the backup", 0);
  const auto stored = TRY(stored_history(archive_, manifest.timeline));
  TRY(wait_for_wal(manifest, stored));
  const auto history = TRY(cluster_history(request_.data_directory, archive_, manifest.timeline));
  const auto during =
      TRY(changes_between(archive_, facts_, history, manifest.start_lsn, manifest.stop_lsn));
  auto& promise = manifest.promise;
  if (!during.is_covered()) {
    observer_.warn(fmt::format(
        "{} block(s) differ from backup {}; whether WAL changed them during this backup isn't "
        "known: {}. The next independent backup compares again",
        copied.broken_promises.size() + copied.unlisted_broken_promises, promise.against->text(),
        during.not_covered));
    promise = {};
    return {};
  }
  promise.unexplained_count = copied.unlisted_broken_promises;
  for (const auto& broken : copied.broken_promises) {
    if (during.blocks.contains(broken.relation, broken.block_in_fork)) continue;
    ++promise.unexplained_count;
    if (promise.blocks.size() < kMostListed) promise.blocks.push_back(broken.place);
  }
  return {};
}

// A backup without its WAL is not one. Asks cheaply until the WAL is there.
Result<void> BaseBackup::wait_for_wal(const BackupManifest& manifest,
                                      const TimelineHistory& history) {
  const auto deadline = clock_.steady_now() + request_.wal_timeout;
  while (true) {
    auto coverage =
        TRY(wal_coverage(archive_, facts_, history, manifest.start_lsn, manifest.stop_lsn));
    if (coverage.ended_by.empty()) return {};
    if (coverage.damage) return std::move(*coverage.damage);
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

void BaseBackup::report_unexplained(const BackupManifest& manifest) {
  const auto& promise = manifest.promise;
  if (promise.unexplained_count == 0) return;
  const auto first = promise.blocks.empty()
                         ? std::string()
                         : fmt::format(", the first in {}, block {}", promise.blocks.front().path,
                                       promise.blocks.front().block);
  observer_.warn(fmt::format(
      "ALARM: {} block(s) differ from backup {} although no WAL changed them since{}. Either the "
      "storage changed them, or backups that read by WAL lack changes. This backup read "
      "everything and holds them as they are; pitr show {} lists them",
      promise.unexplained_count, promise.against->text(), first, manifest.id.text()));
}

void BaseBackup::report(const BackupManifest& manifest) {
  report_unexplained(manifest);
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
  BaseBackup backup(store, archive, facts, request, clock, observer, std::move(stop));
  auto taken = backup.run();
  if (taken || taken.error().kind() != ErrorKind::kCorrupt || !backup.has_parent()) return taken;
  return std::move(taken).error().with_hint(
      "an earlier backup may be damaged: \"pitr backup --independent\" builds on none");
}

}  // namespace pitr
