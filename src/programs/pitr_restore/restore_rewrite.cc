#include "programs/pitr_restore/restore_rewrite.h"

#include <fmt/format.h>

#include <algorithm>
#include <system_error>

#include "basebackup/offline_backup.h"
#include "postgres/data_directory.h"
#include "programs/terminal_progress.h"
#include "repository/backup/block_digests.h"
#include "repository/wal/changes_between.h"
#include "repository/wal/wal_coverage.h"

namespace pitr {

namespace {

InventoryRequest inventory_of(const RewritePlaces& places, bool is_own) {
  return {places.data_directory, places.tablespaces, places.version_directory, is_own};
}

void describe(RewriteView& view, const RestorePlan& plan, const RewriteChoice& choice,
              const DirectoryComparison& comparison) {
  view.mode = choice.mode;
  view.reason = choice.reason;
  view.total_bytes = plan.backup.total_bytes;
  view.wanted_bytes = comparison.wanted_bytes;
  view.wanted_blocks = comparison.wanted_blocks;
  view.compared_bytes = comparison.compared_bytes;
  view.missing_files = comparison.missing_files;
  view.extra_entries = comparison.inventory.extra.size();
}

InPlaceJournal journal_of(const RestorePlan& plan, const RewriteView& view) {
  InPlaceJournal journal;
  journal.system_identifier = plan.backup.incarnation.system_identifier;
  journal.backup = plan.backup.id.text();
  journal.target = to_string(plan.target);
  journal.mode = to_string(view.mode);
  journal.reason = view.reason;
  return journal;
}

// One that can't be read may have said anything.
Result<std::optional<InPlaceJournal>> any_journal(const Path& data_directory) {
  auto journal = read_journal(data_directory);
  if (journal.has_value() || journal.error().kind() != ErrorKind::kCorrupt) return journal;
  InPlaceJournal unreadable;
  unreadable.writes_failed = true;
  return std::optional(std::move(unreadable));
}

Trust trust_after(const std::optional<InPlaceJournal>& interrupted) {
  if (!interrupted) return Trust::kCache;
  return interrupted->writes_failed ? Trust::kNothing : Trust::kDisk;
}

// What an interrupted rewrite knew of the cluster as it was, and of the disk, still holds.
void go_on_from(const std::optional<InPlaceJournal>& interrupted, InPlaceJournal& journal) {
  if (!interrupted) return;
  journal.timeline = interrupted->timeline;
  journal.end = interrupted->end;
  journal.undo = interrupted->undo;
  journal.writes_failed = interrupted->writes_failed;
}

Result<bool> has_digests(const IncarnationStore& store, const BackupManifest& backup) {
  const auto digests = TRY(BlockDigests::open(store, backup));
  return digests.any();
}

}  // namespace

Result<std::vector<PlaceState>> inspect_any_places(const Path& data_directory,
                                                   const std::vector<TablespacePlace>& tablespaces,
                                                   const std::string& version_directory) {
  auto places = inspect_places(data_directory, tablespaces, version_directory);
  if (places.has_value()) return places;
  std::error_code failure;
  const bool is_foreign = std::filesystem::is_directory(data_directory, failure) &&
                          !read_server_major(data_directory).has_value();
  if (places.error().kind() != ErrorKind::kInvalid || !is_foreign) return places.error();
  for (const auto& place : tablespaces) {
    if (place.location.empty() || !std::filesystem::exists(place.location, failure)) continue;
    if (!std::filesystem::is_empty(place.location, failure)) {
      return Error::conflict(fmt::format("the directory {} of tablespace {} is not empty",
                                         place.location.string(), place.oid));
    }
  }
  return std::vector{
      PlaceState{data_directory, Occupancy::kOccupied, "files that are not PostgreSQL's"}};
}

Result<PreparedRewrite> prepare_delta(const IncarnationStore& store, const RestorePlan& plan,
                                      const RewritePlaces& places, bool force, Observer& observer) {
  const auto expected = plan.backup.incarnation.system_identifier;
  const auto interrupted = TRY(any_journal(places.data_directory));
  // In this order: one that starts from here on writes pg_control.
  auto control = TRY(control_bytes(places.data_directory));
  TRY(check_no_server(places.data_directory));
  const auto present = read_control_file(places.data_directory);
  if (present.has_value() && present->system_identifier != expected && !force) {
    return Error::conflict(fmt::format("{} is another cluster's: its system identifier is {}, not "
                                       "{}",
                                       places.data_directory.string(), present->system_identifier,
                                       expected))
        .with_hint("--force makes it this one's all the same");
  }
  RewriteEvidence evidence;
  evidence.unknown_history = "the directory's history is not known";
  evidence.has_digests = TRY(has_digests(store, plan.backup));
  const auto choice = choose_rewrite_mode(evidence);
  const ComparisonRequest request{inventory_of(places, false), places.workers,
                                  trust_after(interrupted), nullptr};
  auto comparison = TRY(compare_directory(store, plan.backup, request, observer));
  RewriteView view;
  view.kind = "delta";
  describe(view, plan, choice, comparison);
  auto journal = journal_of(plan, view);
  go_on_from(interrupted, journal);
  return PreparedRewrite{{std::move(comparison), std::move(journal), std::move(control)},
                         std::move(view)};
}

Result<InPlaceRestore> InPlaceRestore::open(const IncarnationStore& store, WalArchive& archive,
                                            FactsStore& facts, const Path& data_directory) {
  auto cluster = TRY(inspect_stopped_cluster(data_directory, store.id().system_identifier));
  InPlaceRestore restore(store, archive, facts, std::move(cluster));
  const auto& found = restore.cluster_;
  if (!found.not_whole.empty()) return restore;
  restore.wal_ = TRY(
      find_local_wal_end(archive, data_directory / "pg_wal", found.timeline, found.control.redo));
  return restore;
}

std::optional<TimelineId> InPlaceRestore::own_timeline() const {
  const bool is_known = cluster_.not_whole.empty() || cluster_.interrupted;
  if (!is_known || cluster_.timeline == TimelineId()) return std::nullopt;
  return cluster_.timeline;
}

Result<void> InPlaceRestore::archive_wal() {
  if (!wal_) return {};
  SegmentIngest ingest(*archive_, *facts_);
  archived_ = TRY(archive_local_wal(ingest, cluster_.data_directory / "pg_wal", *wal_));
  return {};
}

Result<RewriteEvidence> InPlaceRestore::gather(const RestorePlan& plan, bool only_shown,
                                               std::vector<std::string>& notes) {
  RewriteEvidence evidence;
  evidence.has_digests = TRY(has_digests(*store_, plan.backup));
  evidence.unknown_history = cluster_.not_whole;
  if (!wal_) return evidence;
  if (archived_ && archived_->is_behind) {
    evidence.unknown_history =
        "the repository holds WAL that the cluster no longer has: it lost what it had flushed";
    return evidence;
  }
  const auto& backup = plan.backup;
  // The stop too: what the backup copied must lie before any branch.
  evidence.is_ancestor =
      wal_->history.contains(backup.timeline, backup.stop_lsn) && backup.stop_lsn <= wal_->end;
  evidence.checksums_in_backup = backup.data_checksum_version != 0;
  evidence.checksums_now = cluster_.control.data_checksums();
  evidence.hints_logged_in_backup = backup.wal_log_hints;
  evidence.hints_logged_now = cluster_.control.wal_log_hints;
  if (!evidence.is_ancestor) return evidence;
  auto until = wal_->end;
  if (only_shown) {
    const auto stored = TRY(wal_coverage(*archive_, *facts_, wal_->history, backup.start_lsn));
    if (stored.end < until) {
      notes.push_back(
          fmt::format("the last {} of WAL are in pg_wal only; they will be archived "
                      "first, and what they changed comes on top",
                      format_bytes(until - stored.end)));
      until = std::max(stored.end, backup.start_lsn);
    }
  }
  auto changes = TRY(changes_between(*archive_, *facts_, wal_->history, backup.start_lsn, until));
  evidence.not_covered = changes.not_covered;
  evidence.hints_off = changes.wal_log_hints_off;
  if (changes.is_covered()) changed_ = std::move(changes.blocks);
  return evidence;
}

Result<PreparedRewrite> InPlaceRestore::prepare(const RestorePlan& plan,
                                                const RewritePlaces& places, bool only_shown,
                                                Observer& observer) {
  RewriteView view;
  view.kind = "in place";
  const auto evidence = TRY(gather(plan, only_shown, view.notes));
  const auto choice = choose_rewrite_mode(evidence);
  const bool by_facts = choice.mode == RewriteMode::kByFacts;
  const ComparisonRequest request{inventory_of(places, true), places.workers,
                                  trust_after(cluster_.interrupted),
                                  by_facts ? &*changed_ : nullptr};
  auto comparison = TRY(compare_directory(*store_, plan.backup, request, observer));
  describe(view, plan, choice, comparison);
  auto journal = journal_of(plan, view);
  journal.timeline = cluster_.timeline;
  if (wal_) journal.end = wal_->end;
  go_on_from(cluster_.interrupted, journal);
  return PreparedRewrite{{std::move(comparison), std::move(journal), cluster_.control_bytes},
                         std::move(view)};
}

std::string InPlaceRestore::why_no_safety() const {
  if (!cluster_.not_whole.empty()) return cluster_.not_whole;
  if (archived_ && archived_->is_behind) return "the cluster lost WAL that it had flushed";
  return {};
}

Result<BackupId> InPlaceRestore::take_safety_backup(const RestorePlan& plan,
                                                    const PreparedRewrite& prepared,
                                                    const RewritePlaces& places,
                                                    const std::string& host, const Clock& clock,
                                                    Observer& observer) {
  if (!wal_) return Error::internal("a safety backup of a directory that is not whole");
  const auto& comparison = prepared.rewrite.comparison;
  OfflineBackupRequest request{.data_directory = cluster_.data_directory,
                               .host = host,
                               .workers = places.workers,
                               .parent = plan.backup,
                               .parent_files = comparison.files,
                               .present = comparison.inventory.sizes,
                               .changed = comparison.wanted,
                               .history = wal_->history};
  request.recovery_start = wal_->recovery_start;
  request.last_record = wal_->last_record;
  request.end = wal_->end;
  const auto manifest =
      TRY(take_offline_backup(*store_, *archive_, *facts_, request, clock, observer));
  return manifest.id;
}

}  // namespace pitr
