#include "basebackup/offline_backup.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <random>
#include <system_error>
#include <thread>

#include "basebackup/directory_walk.h"
#include "postgres/backup_label.h"
#include "postgres/control_file.h"
#include "postgres/data_directory.h"
#include "postgres/tablespace_map.h"
#include "repository/wal/wal_coverage.h"

namespace pitr {

namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kReadBlocks = 128;
constexpr const char* kControlFilePath = "global/pg_control";

class OfflineBackup {
 public:
  OfflineBackup(const IncarnationStore& store, const WalArchive& archive, const FactsStore& facts,
                const OfflineBackupRequest& request, const Clock& clock, Observer& observer,
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
  TimelineId timeline() const { return request_.history.timeline(); }
  Result<wal::Checkpoint> choose_start() const;
  Result<void> check_wal(Lsn from) const;
  Result<std::vector<TablespaceInfo>> tablespaces() const;
  Result<void> copy_files(const WalkedDirectory& walked);
  Result<void> copy_until_done(const WalkedDirectory& walked);
  Result<void> copy(const WalkedFile& file, PackWriter& pack);
  Result<void> copy_blocks(const WalkedFile& file, const File& source, PackWriter& pack,
                           std::uint64_t first, std::uint64_t end);
  Result<void> add_control_file(const ControlFileImage& image);
  std::optional<std::uint32_t> find_in_parent(const std::string& path) const;
  bool is_stored(std::optional<std::uint32_t> parent_file, std::uint64_t block,
                 std::uint64_t size_bytes) const;
  BackupManifest describe(const ControlFile& control, const wal::Checkpoint& start,
                          std::vector<TablespaceInfo> tablespaces) const;

  const IncarnationStore& store_;
  const WalArchive& archive_;
  const FactsStore& facts_;
  const OfflineBackupRequest& request_;
  const Clock& clock_;
  Observer& observer_;
  const std::stop_token stop_;
  Timestamp started_;
  std::unique_ptr<BackupWriter> writer_;
  std::optional<BackupId> id_;
  std::atomic<std::size_t> next_file_ = 0;
  std::atomic<std::uint64_t> read_bytes_ = 0;
};

// Recovery ends at a record, so it needs one behind the redo that it starts from: after a clean
// stop there is none behind the last checkpoint. An older start costs replay and nothing else.
Result<wal::Checkpoint> OfflineBackup::choose_start() const {
  if (request_.recovery_start && request_.recovery_start->timeline == timeline()) {
    return *request_.recovery_start;
  }
  const auto size = store_.segment_size();
  const auto& parent = request_.parent;
  const bool is_own_parent = parent.timeline == timeline() && parent.stop_lsn <= request_.end;
  const auto begin = request_.history.begin_of(timeline()).value_or(Lsn());
  const auto oldest = size.number_of(is_own_parent ? parent.start_lsn : begin);
  const auto stored = TRY(facts_.range(timeline(), oldest, size.number_of(request_.last_record)));
  for (auto facts = stored.rbegin(); facts != stored.rend(); ++facts) {
    const auto& checkpoint = facts->last_checkpoint;
    if (checkpoint && checkpoint->timeline == timeline() &&
        checkpoint->redo < request_.last_record) {
      return *checkpoint;
    }
  }
  if (is_own_parent && parent.start_lsn < request_.last_record) {
    return wal::Checkpoint{parent.checkpoint_lsn, parent.start_lsn, parent.timeline, false};
  }
  return Error::invalid(
      fmt::format("timeline {} has no checkpoint with WAL behind it, from which "
                  "recovery to {} could start",
                  to_string(timeline()), to_string(request_.end)));
}

Result<void> OfflineBackup::check_wal(Lsn from) const {
  const auto coverage = TRY(wal_coverage(archive_, facts_, request_.history, from, request_.end));
  if (coverage.end >= request_.end) return {};
  return Error::invalid(fmt::format("the repository doesn't hold all WAL from {} to {}: {}",
                                    to_string(from), to_string(request_.end), coverage.ended_by));
}

Result<std::vector<TablespaceInfo>> OfflineBackup::tablespaces() const {
  std::vector<TablespaceInfo> found;
  const auto links = request_.data_directory / "pg_tblspc";
  std::error_code failure;
  for (fs::directory_iterator i(links, failure), end; !failure && i != end; i.increment(failure)) {
    TablespaceInfo tablespace;
    tablespace.oid = static_cast<std::uint32_t>(std::atoll(i->path().filename().c_str()));
    if (i->is_symlink(failure)) tablespace.location = fs::read_symlink(i->path(), failure).string();
    if (failure) break;
    if (tablespace.oid != 0) found.push_back(std::move(tablespace));
  }
  if (failure) return Error::from_errno(failure.value(), "reading the links in " + links.string());
  std::ranges::sort(found, {}, &TablespaceInfo::oid);
  return found;
}

std::optional<std::uint32_t> OfflineBackup::find_in_parent(const std::string& path) const {
  const auto files = request_.parent_files;
  const auto found = std::ranges::lower_bound(files, path, {}, &FileRow::path);
  if (found == files.end() || found->path != path || found->type != FileType::kFile) {
    return std::nullopt;
  }
  const auto number = static_cast<std::uint32_t>(found - files.begin());
  if (!request_.present[number]) return std::nullopt;
  return number;
}

// Apart from blocks that differ: those that the parent's file doesn't have, or has shorter or
// longer because it ends there.
bool OfflineBackup::is_stored(std::optional<std::uint32_t> parent_file, std::uint64_t block,
                              std::uint64_t size_bytes) const {
  if (!parent_file) return true;
  const auto parent_size = request_.parent_files[*parent_file].size_bytes;
  const auto offset = block * kBlockSize;
  if (offset >= parent_size || request_.changed.contains(*parent_file, block)) return true;
  return std::min<std::uint64_t>(kBlockSize, size_bytes - offset) !=
         std::min<std::uint64_t>(kBlockSize, parent_size - offset);
}

Result<void> OfflineBackup::copy_blocks(const WalkedFile& file, const File& source,
                                        PackWriter& pack, std::uint64_t first, std::uint64_t end) {
  Bytes buffer;
  for (; first < end; first += std::min(kReadBlocks, end - first)) {
    if (stop_.stop_requested()) return Error::cancelled("the backup was stopped");
    const auto offset = first * kBlockSize;
    const auto size =
        std::min(std::min(kReadBlocks, end - first) * kBlockSize, file.row.size_bytes - offset);
    buffer.resize(size);
    const auto read_bytes = TRY(source.read_at(buffer, offset));
    if (read_bytes != size) {
      return Error::conflict(file.source.string() + " shrank: something writes to the directory");
    }
    TRY(pack.add(file.row.path, static_cast<std::uint32_t>(first), buffer));
    read_bytes_ += size;
    observer_.advance(size);
  }
  return {};
}

Result<void> OfflineBackup::copy(const WalkedFile& file, PackWriter& pack) {
  const auto parent_file = find_in_parent(file.row.path);
  writer_->add_file(file.row, parent_file ? Keep::kRest : Keep::kNothing);
  const auto size_bytes = file.row.size_bytes;
  const auto count = (size_bytes + kBlockSize - 1) / kBlockSize;
  std::optional<File> source;
  for (std::uint64_t block = 0; block < count;) {
    if (!is_stored(parent_file, block, size_bytes)) {
      ++block;
      continue;
    }
    auto end = block + 1;
    while (end < count && is_stored(parent_file, end, size_bytes)) ++end;
    if (!source) source = TRY(File::open(file.source, O_RDONLY | O_NOFOLLOW));
    TRY(copy_blocks(file, *source, pack, block, end));
    block = end;
  }
  return {};
}

Result<void> OfflineBackup::copy_until_done(const WalkedDirectory& walked) {
  auto pack = TRY(writer_->new_pack_writer());
  for (auto i = next_file_++; i < walked.files.size(); i = next_file_++) {
    TRY(copy(walked.files[i], *pack));
  }
  return pack->finish();
}

Result<void> OfflineBackup::copy_files(const WalkedDirectory& walked) {
  std::mutex mutex;
  std::optional<Error> failure;  // guarded
  {
    std::vector<std::jthread> threads;
    for (unsigned i = 0; i < std::max(request_.workers, 1u); ++i) {
      threads.emplace_back([&] {
        auto copied = copy_until_done(walked);
        if (copied) return;
        next_file_ = walked.files.size();
        const std::lock_guard lock(mutex);
        if (!failure) failure = std::move(copied).error();
      });
    }
  }
  if (failure) return std::move(*failure);
  return {};
}

Result<void> OfflineBackup::add_control_file(const ControlFileImage& image) {
  const auto marked = TRY(control_file_of_standby(image.bytes, request_.end, timeline()));
  auto pack = TRY(writer_->new_pack_writer());
  TRY(pack->add(kControlFilePath, 0, marked));
  TRY(pack->finish());
  FileRow row;
  row.path = kControlFilePath;
  row.mode = 0600;
  row.size_bytes = marked.size();
  row.modified = image.control.modified;
  writer_->add_file(std::move(row));
  return {};
}

BackupManifest OfflineBackup::describe(const ControlFile& control, const wal::Checkpoint& start,
                                       std::vector<TablespaceInfo> tablespaces) const {
  BackupManifest manifest(*id_);
  manifest.incarnation = store_.id();
  manifest.label = request_.label;
  manifest.host = request_.host;
  manifest.server_version_num = request_.parent.server_version_num;
  manifest.segment_size_bytes = store_.segment_size().bytes();
  manifest.catalog_version = control.catalog_version;
  manifest.timeline = timeline();
  manifest.start_lsn = start.redo;
  manifest.checkpoint_lsn = start.start;
  manifest.stop_lsn = request_.end;
  manifest.start_time = started_;
  manifest.stop_time = clock_.now();
  manifest.from_standby = true;
  manifest.data_checksum_version = control.data_checksum_version;
  manifest.wal_log_hints = control.wal_log_hints;
  BackupLabel label;
  label.start = start.redo;
  label.start_segment = segment_file_name({timeline(), store_.segment_size().number_of(start.redo)},
                                          store_.segment_size());
  label.checkpoint = start.start;
  label.from_standby = true;
  label.start_time = to_string(started_);
  label.label = request_.label;
  label.timeline = timeline();
  manifest.backup_label = build_backup_label(label);
  std::vector<TablespaceMapEntry> entries;
  for (const auto& tablespace : tablespaces) {
    if (!tablespace.location.empty()) entries.push_back({tablespace.oid, tablespace.location});
  }
  if (!entries.empty()) manifest.tablespace_map = build_tablespace_map(entries);
  manifest.tablespaces = std::move(tablespaces);
  manifest.read_bytes = read_bytes_;
  return manifest;
}

Result<BackupManifest> OfflineBackup::run() {
  started_ = clock_.now();
  const auto start = TRY(choose_start());
  TRY(check_wal(start.redo));
  const auto image = TRY(read_control_file_image(request_.data_directory));
  auto places = TRY(tablespaces());
  const auto walked = TRY(walk_data_directory(request_.data_directory, places,
                                              static_cast<int>(store_.id().major_version),
                                              image.control.catalog_version));
  std::random_device random;
  id_ = BackupId::make(started_, (static_cast<std::uint64_t>(random()) << 32) | random());
  const BackupIntent intent{*id_, request_.host, started_, start.redo, request_.parent.id};
  writer_ =
      TRY(BackupWriter::start(store_, intent, request_.pack, ParentBackup{request_.parent, {}}));
  observer_.phase("safety backup of what changed", 0);
  for (const auto& directory : walked.directories) writer_->add_file(directory);
  TRY(copy_files(walked));
  TRY(add_control_file(image));
  auto manifest = describe(image.control, start, std::move(places));
  manifest = TRY(writer_->store_manifest(std::move(manifest)));
  TRY(writer_->publish(manifest));
  return manifest;
}

}  // namespace

Result<BackupManifest> take_offline_backup(const IncarnationStore& store, const WalArchive& archive,
                                           const FactsStore& facts,
                                           const OfflineBackupRequest& request, const Clock& clock,
                                           Observer& observer, std::stop_token stop) {
  return OfflineBackup(store, archive, facts, request, clock, observer, std::move(stop)).run();
}

}  // namespace pitr
