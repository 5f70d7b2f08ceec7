#include "agent/reports/repository_report.h"

#include <algorithm>

#include "agent/reports/known_damage.h"
#include "repository/backup/backup_reader.h"
#include "repository/wal/wal_coverage.h"

namespace pitr {
namespace {

// The timeline that was written last: the one with the newest watermark, else the highest one.
Result<std::optional<TimelineId>> current_timeline(const WalArchive& archive,
                                                   const FactsStore& facts,
                                                   std::optional<Watermark>& watermark) {
  const auto timelines = TRY(archive.timelines());
  if (timelines.empty()) return std::optional<TimelineId>();
  std::optional<TimelineId> current;
  for (const TimelineId timeline : timelines) {
    const auto candidate = TRY(facts.watermark(timeline));
    if (!candidate || (watermark && candidate->time < watermark->time)) continue;
    watermark = candidate;
    current = timeline;
  }
  return current ? current : timelines.back();
}

// Whether all WAL before lsn is there. Between the last record and what the server calls its end
// lies padding: to the segment's end after a switch, else a page header at most.
bool reaches(const WalCoverage& coverage, SegmentSize segment_size, Lsn lsn) {
  static constexpr std::uint64_t kMostPadding = 64;
  if (lsn <= coverage.end) return true;
  if (coverage.has_gap || coverage.segments.empty()) return false;
  const auto& last = coverage.segments.back();
  if (lsn - coverage.end <= kMostPadding) return true;
  return last.is_complete && lsn <= segment_size.start_of(last.segment.number + 1);
}

// Until when the covered WAL tells the whole story.
Timestamp end_time(const WalCoverage& coverage, SegmentSize segment_size,
                   const std::optional<Watermark>& watermark, Timestamp at_least) {
  if (watermark && reaches(coverage, segment_size, watermark->lsn)) {
    return std::max(at_least, watermark->time);
  }
  for (auto segment = coverage.segments.rbegin(); segment != coverage.segments.rend(); ++segment) {
    if (segment->facts && segment->facts->has_xacts()) {
      return std::max(at_least, segment->facts->max_xact_time);
    }
  }
  return at_least;
}

// The backups on the way to the current timeline's end, by the WAL they start in.
std::vector<const BackupManifest*> on_the_way(const std::vector<BackupManifest>& manifests,
                                              const TimelineHistory& history) {
  std::vector<const BackupManifest*> backups;
  for (const auto& manifest : manifests) {
    if (history.contains(manifest.timeline, manifest.stop_lsn)) backups.push_back(&manifest);
  }
  std::ranges::stable_sort(backups, {}, [](const auto* backup) { return backup->start_lsn; });
  return backups;
}

Result<void> add_windows(RepositoryReport& report, const WalArchive& archive,
                         const FactsStore& facts, const std::vector<BackupManifest>& manifests) {
  const auto timeline = TRY(current_timeline(archive, facts, report.watermark));
  if (!timeline) return {};
  const auto history = TRY(stored_history(archive, *timeline));
  Lsn covered;
  for (const auto* backup : on_the_way(manifests, history)) {
    if (backup->stop_lsn <= covered) continue;  // lies in the window before
    auto coverage = TRY(wal_coverage(archive, facts, history, backup->start_lsn));
    covered = coverage.end;
    if (covered < backup->stop_lsn) {
      // No window begins here: the one before is still the current one, and why it ends still
      // counts. Else this is the first that is known to be missing, since the backup saw it.
      if (report.window_ended_by.empty()) report.window_ended_by = coverage.ended_by;
      continue;
    }
    report.window_ended_by = coverage.has_gap ? coverage.ended_by : "";
    report.windows.push_back(
        {backup->id, *timeline, backup->stop_time,
         end_time(coverage, archive.segment_size(), report.watermark, backup->stop_time),
         backup->stop_lsn, covered});
  }
  return {};
}

void forget_long_texts(BackupManifest& manifest) {
  manifest.backup_label.clear();
  manifest.tablespace_map.clear();
  manifest.packs.clear();
  manifest.block_tables.clear();
}

}  // namespace

std::string_view backup_type(const BackupManifest& manifest) {
  return manifest.reading == BackupReading::kChangedBlocks ? "incremental" : "full";
}

Result<RepositoryReport> report_repository(const IncarnationStore& store) {
  const WalArchive archive(store);
  const FactsStore facts(store);
  const BackupCatalog catalog(store);

  RepositoryReport report;
  report.incarnation = store.id();
  report.segment_size_bytes = store.segment_size().bytes();
  const auto manifests = TRY(catalog.manifests());
  const auto unfinished = TRY(catalog.unfinished());
  report.unfinished_count = unfinished.size();
  report.backup_count = manifests.size();
  for (const auto& manifest : manifests) report.stored_backup_bytes += manifest.stored_bytes;
  if (!manifests.empty()) {
    report.last_backup = manifests.back();
    forget_long_texts(*report.last_backup);
  }
  for (const std::string_view type : {"full", "incremental"}) {
    const auto last = std::find_if(manifests.rbegin(), manifests.rend(), [&](const auto& manifest) {
      return backup_type(manifest) == type;
    });
    if (last == manifests.rend()) continue;
    report.last_of_types.push_back(*last);
    forget_long_texts(report.last_of_types.back());
  }
  TRY(add_windows(report, archive, facts, manifests));
  report.damaged = TRY(known_damage(store));
  const auto free_bytes = store.storage().free_bytes();
  if (free_bytes) report.free_bytes = *free_bytes;
  return report;
}

}  // namespace pitr
