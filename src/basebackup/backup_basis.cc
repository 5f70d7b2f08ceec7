#include "basebackup/backup_basis.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <optional>
#include <ranges>

#include "basebackup/sendable_files.h"
#include "common/retry.h"
#include "postgres/data_directory.h"
#include "repository/backup/backup_reader.h"
#include "repository/backup/backup_writer.h"
#include "repository/verify/verify_records.h"
#include "repository/wal/wal_coverage.h"

namespace pitr {
namespace {

constexpr Milliseconds kPollInterval{20};
// A database that is put back over and over leaves a backup on an abandoned timeline each time.
// Looking at one more costs about a millisecond, and reading all of a large database hours.
constexpr std::size_t kMostLookedAt = 1000;
// Of those that the WAL can't tell about: to compare with, and for the reason.
constexpr std::size_t kMostUnfit = 50;

bool has_digests(const IncarnationStore& store, const BackupManifest& manifest) {
  const auto& keyring = store.repository().keyring();
  const auto epoch = manifest.digest_epoch;
  const bool is_comparable = epoch == 0 ? keyring.empty() : keyring.find(epoch) != nullptr;
  return is_comparable && !manifest.digest_tables.empty();
}

// Ids tell the second only.
bool began_in_one_second(const BackupId& a, const BackupId& b) {
  const auto second = [](const BackupId& id) { return id.text().substr(0, id.text().find('-')); };
  return second(a) == second(b);
}

// Newest first, up to the first one that the WAL may tell about.
Result<std::vector<ParentCandidate>> find_candidates(const IncarnationStore& store,
                                                     const ClusterNow& now, Observer& observer) {
  const BackupCatalog catalog(store);
  std::vector<ParentCandidate> candidates;
  std::optional<BackupId> fit;
  std::size_t unfit_count = 0;
  const auto ids = TRY(catalog.list());
  for (const auto& id : std::views::take(std::views::reverse(ids), kMostLookedAt)) {
    if (fit && !began_in_one_second(id, *fit)) break;
    auto manifest = catalog.manifest(id);
    if (!manifest && manifest.error().kind() == ErrorKind::kTransient) return manifest.error();
    if (!manifest) {
      observer.warn(
          fmt::format("the manifest of backup {} cannot be read, so no backup builds on "
                      "it: {}",
                      id.text(), manifest.error().message()));
      continue;
    }
    const bool digests = has_digests(store, *manifest);
    const bool is_fit = digests && unfit_by_history(*manifest, now).empty();
    if (is_fit) fit = id;
    if (is_fit || unfit_count++ < kMostUnfit) candidates.push_back({std::move(*manifest), digests});
  }
  std::ranges::stable_sort(candidates, std::greater(), [](const ParentCandidate& candidate) {
    return std::pair(candidate.manifest.start_lsn, candidate.manifest.start_time);
  });
  return candidates;
}

// They may be right by now, or damaged in another way.
void mark_damaged_pages(const BackupManifest& backup, wal::ChangedBlocks& changed) {
  for (const auto& failure : backup.checksum_failures) {
    const auto slash = failure.path.rfind('/');
    if (slash == std::string::npos) continue;
    const auto place = parse_relation_directory(failure.path.substr(0, slash));
    const auto file = parse_relation_file_name(failure.path.substr(slash + 1));
    if (!place || !file || file->fork != Fork::kMain) continue;
    changed.mark({place->tablespace, place->database, file->number},
                 file->segment * wal::ChangedBlocks::kBlocksPerSegment + failure.block);
  }
}

// Behind a switch of timelines or on a standby the files were made by replaying WAL, which leaves
// out the hint bits that were set on a page right after its image was logged.
bool is_all_logged(const BackupManifest& since, const BasisRequest& request,
                   const ChangesInRange& changes) {
  const bool is_same_server = since.timeline == request.now.history.timeline() &&
                              !since.from_standby && !request.from_standby;
  const bool by_checksums =
      since.data_checksum_version != 0 && request.now.data_checksum_version != 0;
  const bool by_setting =
      since.wal_log_hints && request.wal_log_hints && !changes.wal_log_hints_off;
  return is_same_server && (by_checksums || by_setting);
}

// Packs of the parent that verification found damaged or missing.
Result<void> leave_damaged_packs(const IncarnationStore& store, BackupBasis& basis,
                                 Observer& observer) {
  if (!basis.parent) return {};
  const auto damaged = TRY(damaged_packs(store));
  for (const auto& pack : basis.parent->packs) {
    if (std::ranges::find(damaged, pack.key, &DamagedPack::pack) != damaged.end()) {
      basis.leave_packs.push_back(pack.key);
    }
  }
  if (basis.leave_packs.empty()) return {};
  observer.warn(fmt::format(
      "{} pack(s) of backup {} are damaged, the first is {}: their blocks are stored again",
      basis.leave_packs.size(), basis.parent->id.text(), basis.leave_packs.front().text()));
  if (basis.reading != BackupReading::kChangedBlocks) return {};
  // All other files are read whole.
  const auto mark = [&](const std::string& path, std::uint32_t first_block,
                        std::uint32_t count) -> Result<void> {
    const auto file = parse_main_fork_path(path);
    if (!file) return {};
    const auto first = file->segment * wal::ChangedBlocks::kBlocksPerSegment + first_block;
    for (std::uint32_t i = 0; i < count; ++i) basis.changed.mark(file->relation, first + i);
    return {};
  };
  return blocks_in_packs(store, *basis.parent, basis.leave_packs, mark);
}

}  // namespace

// WAL arrives while it is looked at, so what seems lost must be so twice: the end of what was there
// may be read before the segments behind it came.
Result<ChangesInRange> wait_for_changes(const WalArchive& archive, const FactsStore& facts,
                                        const TimelineHistory& history, Lsn from, Lsn to,
                                        Milliseconds timeout, const Clock& clock,
                                        std::stop_token stop) {
  const auto deadline = clock.steady_now() + timeout;
  std::optional<std::string> seemed_lost;
  while (true) {
    auto found = TRY(changes_between(archive, facts, history, from, to));
    const bool is_lost = !found.may_come && seemed_lost == found.not_covered;
    if (found.is_covered() || is_lost || clock.steady_now() >= deadline) return found;
    seemed_lost.reset();
    if (!found.may_come) seemed_lost = std::move(found.not_covered);
    if (!sleep_for(kPollInterval, stop)) return Error::cancelled("the backup was stopped");
  }
}

Result<BackupBasis> find_basis(const WalArchive& archive, const FactsStore& facts,
                               const BasisRequest& request, const Clock& clock, Observer& observer,
                               std::stop_token stop) {
  auto candidates = TRY(find_candidates(archive.store(), request.now, observer));
  ChangesInRange changes;
  const auto& now = request.now;
  // Range start is the start's redo: blocks changed while the files were read, after they were
  // read, are in the WAL from there on.
  const CoverageQuery why_not_covered = [&](const BackupManifest& since) -> Result<std::string> {
    const auto until = request.changes_until.value_or(now.start_lsn);
    if (until <= since.start_lsn) return "";
    changes = TRY(wait_for_changes(archive, facts, now.history, since.start_lsn, until,
                                   request.wal_timeout, clock, stop));
    return changes.not_covered;
  };
  auto choice = TRY(choose_backup(candidates, now, request.read, why_not_covered));
  BackupBasis basis;
  basis.reading = choice.reading;
  basis.reason = std::move(choice.reason);
  if (choice.parent) basis.parent = candidates[*choice.parent].manifest;
  if (!choice.promised) {
    TRY(leave_damaged_packs(archive.store(), basis, observer));
    return basis;
  }
  basis.promised = std::move(candidates[*choice.promised].manifest);
  basis.all_is_logged = is_all_logged(*basis.promised, request, changes);
  basis.changed = std::move(changes.blocks);
  mark_damaged_pages(*basis.promised, basis.changed);
  TRY(leave_damaged_packs(archive.store(), basis, observer));
  return basis;
}

Result<TimelineHistory> cluster_history(const std::optional<Path>& data_directory,
                                        const WalArchive& archive, TimelineId timeline) {
  if (data_directory && timeline != TimelineId(1)) {
    const auto own = read_text_file(*data_directory / "pg_wal" / history_file_name(timeline));
    if (own) return TimelineHistory::parse(timeline, *own);
    if (own.error().kind() != ErrorKind::kNotFound) return own.error();
  }
  return stored_history(archive, timeline);
}

}  // namespace pitr
