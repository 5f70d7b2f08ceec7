#include "basebackup/backup_choice.h"

#include <fmt/format.h>

namespace pitr {

static std::string checksums(std::uint32_t version) {
  return version == 0 ? "off" : "on";
}

std::string unfit_by_history(const BackupManifest& backup, const ClusterNow& now) {
  const auto id = backup.id.text();
  if (backup.incarnation != now.incarnation) {
    return fmt::format("backup {} is of another cluster, {}", id, to_string(backup.incarnation));
  }
  // The stop counts, not the start: files were read until then.
  if (!now.history.contains(backup.timeline, backup.stop_lsn)) {
    const auto left = now.history.switch_point(backup.timeline);
    if (!left) {
      return fmt::format("backup {} is on timeline {}, which is not in the history of timeline {}",
                         id, backup.timeline.value(), now.history.timeline().value());
    }
    return fmt::format("backup {} ends at {} on timeline {}, which this cluster left at {}", id,
                       to_string(backup.stop_lsn), backup.timeline.value(), to_string(*left));
  }
  // A standby may lag behind it: its files hold what replay from here on has yet to bring.
  if (backup.stop_lsn > now.start_lsn) {
    return fmt::format("backup {} ends at {}, behind the start of this one at {}", id,
                       to_string(backup.stop_lsn), to_string(now.start_lsn));
  }
  if (backup.data_checksum_version != now.data_checksum_version) {
    return fmt::format(
        "data checksums were {} in backup {} and are {} now: pg_checksums writes pages without WAL",
        checksums(backup.data_checksum_version), id, checksums(now.data_checksum_version));
  }
  if (backup.checksum_failure_count > backup.checksum_failures.size()) {
    return fmt::format("backup {} holds more damaged pages than it lists", id);
  }
  return "";
}

namespace {

struct Newest {
  std::optional<std::size_t> with_digests;
  std::optional<std::size_t> fit;  // by history; with digests
  std::string unfit;               // why not the newest one of those with digests
};

Newest find_newest(std::span<const ParentCandidate> candidates, const ClusterNow& now) {
  Newest newest;
  for (std::size_t i = 0; i < candidates.size() && !newest.fit; ++i) {
    if (!candidates[i].has_digests) continue;
    if (!newest.with_digests) newest.with_digests = i;
    auto unfit = unfit_by_history(candidates[i].manifest, now);
    if (unfit.empty()) newest.fit = i;
    if (newest.unfit.empty()) newest.unfit = std::move(unfit);
  }
  return newest;
}

std::string no_parent(std::span<const ParentCandidate> candidates) {
  return candidates.empty() ? "there is no earlier backup"
                            : "no earlier backup has digests that can be compared";
}

}  // namespace

Result<BackupChoice> choose_backup(std::span<const ParentCandidate> candidates,
                                   const ClusterNow& now, ReadRequest request,
                                   const CoverageQuery& why_not_covered) {
  const auto newest = find_newest(candidates, now);
  BackupChoice choice;
  std::string not_by_wal = newest.unfit;
  const bool is_remote = now.method == BackupMethod::kRemote;
  // Nobody would use the answer, for which WAL may have to be waited for.
  const bool has_no_use = is_remote && (!now.all_is_sent.empty() || request != ReadRequest::kAuto);
  if (newest.fit && !has_no_use) {
    const auto uncovered = TRY(why_not_covered(candidates[*newest.fit].manifest));
    if (uncovered.empty()) {
      choice.promised = newest.fit;
    } else {
      not_by_wal = fmt::format("what changed since backup {} is not known: {}",
                               candidates[*newest.fit].manifest.id.text(), uncovered);
    }
  }
  if (request == ReadRequest::kIndependent) {
    choice.reason = "an independent backup was asked for";
    return choice;
  }
  choice.parent = newest.fit ? newest.fit : newest.with_digests;
  if (!choice.parent) {
    choice.reason = no_parent(candidates);
    return choice;
  }
  choice.reading = BackupReading::kCompared;
  if (request == ReadRequest::kFull) {
    choice.reason = "a full read was asked for";
  } else if (is_remote && !now.all_is_sent.empty()) {
    choice.reason = now.all_is_sent;
  } else if (!choice.promised) {
    choice.reason = std::move(not_by_wal);
  } else {
    choice.reading = BackupReading::kChangedBlocks;
    choice.reason = fmt::format(
        "{} since backup {} {} what changed", is_remote ? "the server's WAL summaries" : "the WAL",
        candidates[*choice.parent].manifest.id.text(), is_remote ? "tell" : "tells");
  }
  return choice;
}

}  // namespace pitr
