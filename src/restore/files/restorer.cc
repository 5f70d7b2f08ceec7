#include "restore/files/restorer.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <set>
#include <system_error>

#include "postgres/control_file.h"
#include "postgres/data_directory.h"
#include "postgres/tablespace_map.h"
#include "restore/files/file_writer.h"
#include "restore/files/restored_rows.h"

namespace pitr {

namespace {

constexpr auto kControlFile = kControlFilePath;
constexpr auto kAutoConf = kAutoConfPath;
constexpr std::uint64_t kLongestAutoConf = 16 << 20;

class Restorer {
 public:
  Restorer(const BackupManifest& backup, const RecoveryPlan& recovery,
           const RestoreOptions& options, Observer& observer, std::stop_token stop)
      : backup_(backup),
        recovery_(recovery),
        options_(options),
        observer_(observer),
        stop_(std::move(stop)),
        version_directory_(tablespace_version_directory(
            static_cast<int>(backup.server_version_num / 10000), backup.catalog_version)) {}

  Result<RestoreSummary> run(const IncarnationStore& store);

 private:
  Result<Bytes> read_control(const BackupContents& contents) const;
  Result<void> prepare_places(const BackupContents& contents);
  Result<void> prepare_rewrite(const BackupContents& contents);
  Result<void> make_data_directory();
  Result<void> link_tablespaces();
  Result<void> write_labels();
  Result<void> write_recovery_plan();
  Result<void> write_settings(const BackupContents& contents);
  Result<void> open_file_systems();
  Result<void> sync_file_systems();
  Result<void> write_everything(const BackupContents& contents, FileWriter& writer);
  void note_failed_writes() const;
  Result<void> write_small_file(std::string_view name, std::string_view text);
  Result<void> finish(ByteView control);
  Result<void> go_on() const;

  Path in_target(std::string_view relative) const { return options_.data_directory / relative; }

  const BackupManifest& backup_;
  const RecoveryPlan& recovery_;
  const RestoreOptions& options_;
  Observer& observer_;
  std::stop_token stop_;
  const std::string version_directory_;
  std::vector<std::pair<Path, File>> file_systems_;
};

// Everything that can be wrong with the backup is found out before the target is touched.
Result<Bytes> Restorer::read_control(const BackupContents& contents) const {
  auto read = contents.read_file(kControlFile, kControlFileSizeBytes);
  auto bytes = TRY(with_context(std::move(read), kControlFile));
  const auto control = TRY(with_context(parse_control_file(bytes), kControlFile));
  if (control.system_identifier != recovery_.system_identifier) {
    return Error::corrupt(fmt::format("backup {} holds the pg_control of another cluster ({})",
                                      backup_.id.text(), control.system_identifier));
  }
  return bytes;
}

Result<void> Restorer::prepare_places(const BackupContents& contents) {
  const auto states =
      TRY(inspect_places(options_.data_directory, options_.tablespaces, version_directory_));
  const auto occupied = std::ranges::find_if(
      states, [](const PlaceState& state) { return state.occupancy != Occupancy::kFree; });
  if (occupied != states.end() && !options_.replace) {
    return Error::conflict(
               fmt::format("{} holds {}", occupied->path.string(), occupied->description))
        .with_hint("--force replaces it; or choose another --target-dir");
  }
  TRY(check_disk_space(options_.data_directory, options_.tablespaces, contents.files()));
  if (occupied != states.end()) {
    observer_.phase("removing what is there", 0);
    TRY(clear_places(options_.data_directory, options_.tablespaces, version_directory_));
  }
  return {};
}

Result<void> Restorer::make_data_directory() {
  TRY(create_directories_durably(options_.data_directory));
  struct stat info{};
  if (::stat(options_.data_directory.c_str(), &info) != 0) {
    return Error::from_errno(errno, options_.data_directory.string());
  }
  // The server takes 0700 and 0750; which of them is the owner's choice.
  const bool keeps_mode = options_.rewrite && (info.st_mode & 07777) == 0750;
  if (!keeps_mode && ::chmod(options_.data_directory.c_str(), 0700) != 0) {
    return Error::from_errno(errno, options_.data_directory.string());
  }
  TRY(give_to(options_.data_directory, options_.owner));
  TRY(write_marker(options_.data_directory, options_.tablespaces));
  return give_to(in_target(kRestoreDirectory), options_.owner);
}

// From here on nothing can start until finish().
Result<void> Restorer::prepare_rewrite(const BackupContents& contents) {
  const auto& rewrite = *options_.rewrite;
  TRY(create_directories_durably(options_.data_directory));
  TRY(check_no_server(options_.data_directory));
  // Before the first byte: what is there now is given back as far as it doesn't stay.
  TRY(check_disk_space(options_.data_directory, options_.tablespaces, contents.files()));
  TRY(write_journal(options_.data_directory, rewrite.journal));
  TRY(withdraw_control(options_.data_directory, rewrite.control));
  TRY(make_data_directory());
  observer_.phase("removing what doesn't belong", 0);
  TRY(clear_restore_directory(options_.data_directory));
  return remove_entries(rewrite.comparison.inventory.extra);
}

Result<void> Restorer::link_tablespaces() {
  if (options_.tablespaces.empty()) return {};
  const auto directory = in_target("pg_tblspc");
  if (::mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST) {
    return Error::from_errno(errno, "creating " + directory.string());
  }
  TRY(give_to(directory, options_.owner));
  for (const auto& place : options_.tablespaces) {
    if (place.location.empty()) continue;
    TRY(create_directories_durably(place.location));
    TRY(give_to(place.location, options_.owner));
    const auto link = directory / std::to_string(place.oid);
    // In a rewrite a link that is still there leads to the right place.
    const bool is_there = ::symlink(place.location.c_str(), link.c_str()) != 0;
    if (is_there && !(options_.rewrite && errno == EEXIST)) {
      return Error::from_errno(errno, "creating " + link.string());
    }
    TRY(give_to(link, options_.owner));
  }
  return {};
}

Result<void> Restorer::write_small_file(std::string_view name, std::string_view text) {
  const auto path = in_target(name);
  TRY(write_file_durably(path, as_bytes(text)));
  return give_to(path, options_.owner);
}

Result<void> Restorer::write_labels() {
  if (backup_.backup_label.empty()) {
    return Error::corrupt(fmt::format("backup {} has no backup_label", backup_.id.text()));
  }
  TRY(write_small_file("backup_label", backup_.backup_label));
  if (backup_.tablespace_map.empty()) return {};
  auto entries = TRY(parse_tablespace_map(backup_.tablespace_map));
  bool is_moved = false;
  for (auto& entry : entries) {
    for (const auto& place : options_.tablespaces) {
      if (place.oid != entry.oid || place.location == Path(entry.path)) continue;
      entry.path = place.location.string();
      is_moved = true;
    }
  }
  return write_small_file("tablespace_map",
                          is_moved ? build_tablespace_map(entries) : backup_.tablespace_map);
}

Result<void> Restorer::write_recovery_plan() {
  const auto write = [&](const Path& path, std::string_view text) -> Result<void> {
    TRY(write_file_durably(path, as_bytes(text)));
    return give_to(path, options_.owner);
  };
  TRY(write(recovery_plan_file(options_.data_directory), to_json(recovery_)));
  return write(wal_get_plan_file(options_.data_directory), wal_get_plan_text(recovery_));
}

Result<void> Restorer::write_settings(const BackupContents& contents) {
  std::string before;
  const auto& files = contents.files();
  if (std::ranges::find(files, kAutoConf, &FileRow::path) != files.end()) {
    const auto bytes = TRY(contents.read_file(kAutoConf, kLongestAutoConf));
    before = as_text(bytes);
  }
  RecoverySettings settings;
  settings.restore_command =
      restore_command(options_.wal_get_program, wal_get_plan_file(options_.data_directory));
  settings.target_lsn = recovery_.target_lsn;
  settings.inclusive = recovery_.inclusive;
  settings.timeline = recovery_.timeline;
  settings.action = options_.action;
  settings.keep_archive_mode = options_.keep_archive_mode;
  TRY(write_small_file(kAutoConf, with_recovery_settings(before, settings)));
  return write_small_file("recovery.signal", "");
}

// Before anything is written: an error of writing back is told to those who have the file system
// open by then, to each once.
Result<void> Restorer::open_file_systems() {
  std::vector<Path> places = {options_.data_directory};
  for (const auto& place : options_.tablespaces) {
    if (!place.location.empty()) places.push_back(place.location);
  }
  std::error_code failure;
  const auto wal = in_target("pg_wal");  // a link to elsewhere, maybe
  if (std::filesystem::is_directory(wal, failure)) places.push_back(wal);
  std::set<dev_t> opened;
  for (const auto& place : places) {
    auto directory = TRY(File::open(place, O_RDONLY | O_DIRECTORY));
    struct stat info{};
    if (::fstat(directory.fd(), &info) != 0) return Error::from_errno(errno, place.string());
    if (opened.insert(info.st_dev).second) file_systems_.emplace_back(place, std::move(directory));
  }
  return {};
}

Result<void> Restorer::sync_file_systems() {
  for (const auto& [place, directory] : file_systems_) {
    if (::syncfs(directory.fd()) != 0) {
      return Error::from_errno(errno, "syncing the file system of " + place.string());
    }
  }
  return {};
}

// All else is durable: from here on a server can start.
Result<void> Restorer::finish(ByteView control) {
  const auto path = in_target(kControlFile);
  TRY(write_file_durably(path, control));
  TRY(give_to(path, options_.owner));
  const auto marker = restoring_marker(options_.data_directory);
  std::error_code failure;
  std::filesystem::remove(marker, failure);
  if (failure) return Error::from_errno(failure.value(), "removing " + marker.string());
  return remove_journal(options_.data_directory);
}

// Where no thread looks at the stop token.
Result<void> Restorer::go_on() const {
  if (stop_.stop_requested()) return Error::cancelled("the restore was stopped");
  return {};
}

Result<void> Restorer::write_everything(const BackupContents& contents, FileWriter& writer) {
  TRY(writer.create_all(options_.workers));
  TRY(go_on());
  TRY(writer.write_all(options_.workers, observer_, stop_));
  TRY(write_labels());
  TRY(write_recovery_plan());
  TRY(write_settings(contents));
  TRY(go_on());
  observer_.phase("syncing", 0);
  return sync_file_systems();
}

// What could not be written is still read as if it were, until the cache is dropped: the next
// rewrite must not take it for what is on the disk.
void Restorer::note_failed_writes() const {
  auto journal = options_.rewrite->journal;
  journal.writes_failed = true;
  (void)write_journal(options_.data_directory, journal);  // the error that led here is told
}

Result<RestoreSummary> Restorer::run(const IncarnationStore& store) {
  const auto* rewrite = options_.rewrite;
  observer_.phase("reading the backup's tables", 0);
  const auto* wanted = rewrite ? &rewrite->comparison.wanted : nullptr;
  const auto contents = TRY(BackupContents::open(store, backup_, wanted));
  const auto control = TRY(read_control(*contents));
  TRY(go_on());
  if (rewrite) {
    TRY(prepare_rewrite(*contents));
  } else {
    TRY(prepare_places(*contents));
    TRY(go_on());
    TRY(make_data_directory());
  }
  TRY(link_tablespaces());
  TRY(open_file_systems());

  const auto existing = !rewrite                                 ? Existing::kNothing
                        : rewrite->comparison.must_compare_bytes ? Existing::kCompare
                                                                 : Existing::kAdjust;
  FileWriter writer(
      *contents, options_.data_directory, options_.owner,
      [this](const FileRow& row) { return is_restored_from_backup(row, options_.tablespaces); },
      existing);
  observer_.phase("restoring files", writer.piece_bytes());
  auto written = write_everything(*contents, writer);
  if (!written.has_value()) {
    if (rewrite && written.error().kind() != ErrorKind::kCancelled) note_failed_writes();
    return std::move(written).error();
  }
  TRY(go_on());
  TRY(finish(control));

  RestoreSummary summary;
  summary.files = writer.file_count();
  summary.bytes = writer.total_bytes();
  summary.written_bytes = writer.written_bytes();
  if (rewrite) summary.removed = rewrite->comparison.inventory.extra.size();
  for (const auto* name : {"postgresql.conf", "pg_hba.conf", "pg_ident.conf"}) {
    const auto& files = contents->files();
    if (std::ranges::find(files, name, &FileRow::path) == files.end()) {
      summary.missing_configuration.emplace_back(name);
    }
  }
  return summary;
}

}  // namespace

Result<RestoreSummary> restore_files(const IncarnationStore& store, const BackupManifest& backup,
                                     const RecoveryPlan& recovery, const RestoreOptions& options,
                                     Observer& observer, std::stop_token stop) {
  return Restorer(backup, recovery, options, observer, std::move(stop)).run(store);
}

}  // namespace pitr
