#include "basebackup/local_backup.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <thread>

#include "basebackup/file_copy.h"
#include "postgres/backup_label.h"
#include "postgres/control_file.h"

namespace pitr {

namespace {

// Large files are copied by several threads, in parts of this size.
constexpr std::uint64_t kRangeBytes = 64ull << 20;
constexpr const char* kControlFilePath = "global/pg_control";

// Large parts first, so that no thread is left alone with one at the end.
std::vector<CopyRange> cut_into_ranges(const WalkedDirectory& walked) {
  std::vector<CopyRange> ranges;
  for (std::size_t i = 0; i < walked.files.size(); ++i) {
    const std::uint64_t size = walked.files[i].row.size_bytes;
    for (std::uint64_t offset = 0; offset == 0 || offset < size; offset += kRangeBytes) {
      ranges.push_back({i, offset, std::min(kRangeBytes, size - offset)});
    }
  }
  std::ranges::stable_sort(ranges, std::greater<>(), &CopyRange::size_bytes);
  return ranges;
}

// The threads that copy; the first error stops all of them.
class CopyCrew {
 public:
  CopyCrew(const WalkedDirectory& walked, BackupWriter& writer, CopyContext context)
      : walked_(walked), ranges_(cut_into_ranges(walked)), writer_(writer), context_(context) {}

  Result<void> run(unsigned workers);

 private:
  void work();
  Result<void> copy_until_done();

  const WalkedDirectory& walked_;
  const std::vector<CopyRange> ranges_;
  BackupWriter& writer_;
  const CopyContext context_;
  std::atomic<std::size_t> next_ = 0;
  std::mutex mutex_;
  std::optional<Error> failure_;
};

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
  next_ = ranges_.size();
  std::lock_guard lock(mutex_);
  if (!failure_) failure_ = std::move(copied).error();
}

Result<void> CopyCrew::copy_until_done() {
  auto pack = TRY(writer_.new_pack_writer());
  FileCopier copier(context_, *pack);
  while (true) {
    const std::size_t i = next_++;
    if (i >= ranges_.size()) return pack->finish();
    const CopyRange& range = ranges_[i];
    const WalkedFile& file = walked_.files[range.file];
    const bool is_there = TRY(copier.copy(file, range));
    if (is_there && range.offset == 0) writer_.add_file(file.row);
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
                                     const BaseBackupRequest& request, BackupWriter& writer,
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
  const auto walked = TRY(walk_data_directory(data_directory, copied.tablespaces,
                                              session.server_major(), control.catalog_version));
  for (const auto& directory : walked.directories) writer.add_file(directory);

  observer.phase("copying files", walked.total_bytes);
  CopyFindings findings;
  RateLimit rate_limit(request.max_rate_bytes_per_second);
  const bool verify = request.verify_checksums && control.data_checksums();
  CopyContext context{start_lsn, verify, findings, rate_limit, observer, stop};
  TRY(CopyCrew(walked, writer, context).run(request.workers));

  copied.control = TRY(copy_control_file(data_directory, writer));
  copied.read_bytes = findings.read_bytes();
  copied.checksum_failures = findings.failures();
  copied.checksum_failure_count = findings.failure_count();
  return stop_backup(session, std::move(copied));
}

}  // namespace pitr
