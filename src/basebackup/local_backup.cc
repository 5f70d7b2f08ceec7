#include "basebackup/local_backup.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <thread>

#include "basebackup/file_copy.h"
#include "basebackup/reading_plan.h"
#include "postgres/backup_label.h"
#include "postgres/control_file.h"

namespace pitr {

namespace {

constexpr const char* kControlFilePath = "global/pg_control";

// The threads that copy; the first error stops all of them.
class CopyCrew {
 public:
  CopyCrew(const WalkedDirectory& walked, const ReadingPlan& plan, const BackupBasis& basis,
           BackupWriter& writer, CopyContext context)
      : walked_(walked),
        plan_(plan),
        basis_(basis),
        writer_(writer),
        context_(std::move(context)) {}

  // Before run().
  Result<void> check_promise(const IncarnationStore& store, PromiseFindings& findings);
  Result<void> run(unsigned workers);

 private:
  void work();
  Result<void> copy_until_done();
  std::optional<PromiseChecker> promise_checker() const;

  const WalkedDirectory& walked_;
  const ReadingPlan& plan_;
  const BackupBasis& basis_;
  BackupWriter& writer_;
  const CopyContext context_;
  PromiseFindings* promise_findings_ = nullptr;
  std::optional<BlockDigests> promised_digests_;
  std::atomic<std::size_t> next_ = 0;
  std::mutex mutex_;
  std::optional<Error> failure_;
};

Result<void> CopyCrew::check_promise(const IncarnationStore& store, PromiseFindings& findings) {
  promised_digests_ = TRY(BlockDigests::open(store, *basis_.promised));
  promise_findings_ = &findings;
  return {};
}

std::optional<PromiseChecker> CopyCrew::promise_checker() const {
  if (!promised_digests_) return std::nullopt;
  return PromiseChecker(promised_digests_->share(), basis_.changed, context_.start_lsn,
                        *promise_findings_);
}

Result<void> CopyCrew::run(unsigned workers) {
  {
    std::vector<std::jthread> threads;
    for (unsigned i = 0; i < std::max(workers, 1u); ++i) threads.emplace_back([this] { work(); });
  }
  if (failure_) return *failure_;
  return {};
}

void CopyCrew::work() {
  auto copied = copy_until_done();
  if (copied) return;
  next_ = plan_.tasks.size();
  std::lock_guard lock(mutex_);
  if (!failure_) failure_ = std::move(copied).error();
}

Result<void> CopyCrew::copy_until_done() {
  auto pack = TRY(writer_.new_pack_writer());
  FileCopier copier(context_, *pack, promise_checker());
  while (true) {
    const std::size_t i = next_++;
    if (i >= plan_.tasks.size()) return pack->finish();
    const CopyTask& task = plan_.tasks[i];
    const WalkedFile& file = walked_.files[task.file];
    const bool is_there = TRY(copier.copy(file, task, ranges_of(task, file, basis_)));
    if (is_there && task.is_first) writer_.add_file(file.row, plan_.keep[task.file]);
  }
}

// Copied last: from a standby, its minimum recovery point is where the backup becomes consistent.
Result<ControlFile> copy_control_file(const Path& data_directory, BackupWriter& writer) {
  const auto image = TRY(read_control_file_image(data_directory));
  auto pack = TRY(writer.new_pack_writer());
  TRY(pack->add(kControlFilePath, 0, image.bytes));
  TRY(pack->finish());
  FileRow row;
  row.path = kControlFilePath;
  row.mode = 0600;
  row.size_bytes = image.bytes.size();
  row.modified = image.control.modified;
  writer.add_file(std::move(row));
  return image.control;
}

Result<CopiedFiles> stop_backup(BackupSession& session, CopiedFiles copied) {
  const auto stopped = TRY(session.stop());
  const auto label = TRY(parse_backup_label(stopped.backup_label));
  if (label.start != copied.start_lsn) {
    return Error::internal(fmt::format("the backup started at {}, but its label says {}",
                                       to_string(copied.start_lsn), to_string(label.start)));
  }
  copied.stop_lsn = stopped.stop_lsn;
  copied.stop_time = stopped.time;
  copied.timeline = label.timeline;
  copied.checkpoint_lsn = label.checkpoint;
  copied.backup_label = stopped.backup_label;
  copied.tablespace_map = stopped.tablespace_map;
  copied.from_standby = session.is_standby();
  return copied;
}

}  // namespace

Result<CopiedFiles> copy_local_files(BackupSession& session, Lsn start_lsn,
                                     const BaseBackupRequest& request, const BackupBasis& basis,
                                     const IncarnationStore& store, BackupWriter& writer,
                                     Observer& observer, std::stop_token stop) {
  const Path& data_directory = *request.data_directory;
  CopiedFiles copied;
  copied.start_lsn = start_lsn;
  copied.start_time = TRY(session.server_time());
  copied.tablespaces = TRY(session.tablespaces());
  const auto control = TRY(read_control_file(data_directory));
  if (control.redo < start_lsn) {
    return Error::invalid(
        fmt::format("{} has its last checkpoint at {}, before the backup's start "
                    "at {}: it isn't the directory of the server connected to",
                    data_directory.native(), to_string(control.redo), to_string(start_lsn)));
  }
  auto walked = TRY(walk_data_directory(data_directory, copied.tablespaces, session.server_major(),
                                        control.catalog_version));
  const auto& older = basis.promised ? basis.promised : basis.parent;
  if (older) TRY(find_older_sizes(store, *older, walked));
  const auto plan = plan_reading(walked, basis);
  for (const auto& directory : walked.directories) writer.add_file(directory);
  for (const auto i : plan.unread) writer.add_file(walked.files[i].row, plan.keep[i]);

  observer.phase("copying files", plan.total_bytes);
  CopyFindings findings;
  PromiseFindings promise_findings;
  RateLimit rate_limit(request.max_rate_bytes_per_second);
  const bool verify = request.verify_checksums && control.data_checksums();
  CopyContext context{start_lsn, verify, findings, rate_limit, observer, stop};
  CopyCrew crew(walked, plan, basis, writer, context);
  if (checks_promise(basis)) TRY(crew.check_promise(store, promise_findings));
  TRY(crew.run(request.workers));

  copied.control = TRY(copy_control_file(data_directory, writer));
  copied.read_bytes = findings.read_bytes();
  copied.checksum_failures = findings.failures();
  copied.checksum_failure_count = findings.failure_count();
  copied.checked_blocks = promise_findings.checked_blocks();
  copied.unlisted_broken_promises = promise_findings.not_kept();
  copied.broken_promises = promise_findings.take();
  return stop_backup(session, std::move(copied));
}

}  // namespace pitr
