#include "repository/verify/verify.h"

#include <fmt/format.h>

#include <algorithm>

#include "repository/incarnations.h"
#include "repository/verify/incarnation_verify.h"

namespace pitr {

std::string_view to_string(FindingKind kind) {
  switch (kind) {
    case FindingKind::kDamaged:
      return "damaged";
    case FindingKind::kMissing:
      return "missing";
    case FindingKind::kUnchecked:
      return "unchecked";
  }
  return "";
}

std::string_view to_string(BackupVerdict verdict) {
  switch (verdict) {
    case BackupVerdict::kGood:
      return "good";
    case BackupVerdict::kDamaged:
      return "damaged";
    case BackupVerdict::kNotChecked:
      return "not checked";
  }
  return "";
}

bool VerifyReport::found_damage() const {
  return std::ranges::any_of(findings, [](const VerifyFinding& finding) {
    return finding.kind != FindingKind::kUnchecked;
  });
}

namespace {

using Parts = std::vector<std::unique_ptr<IncarnationVerify>>;

Result<Parts> read_incarnations(Repository& repository, const std::string& cluster,
                                const VerifyOptions& options, ReadMeter& meter, Timestamp now) {
  const auto registered = TRY(registered_incarnations(repository, cluster));
  if (registered.empty()) {
    return Error::not_found(fmt::format("the repository in {} holds nothing of cluster {}",
                                        repository.storage().description(), cluster));
  }
  Parts parts;
  for (const auto& one : registered) {
    const IncarnationStore store(repository, one.id, one.segment_size);
    auto part = std::make_unique<IncarnationVerify>(store, options, meter);
    TRY(part->read(now));
    // The backup says which one it is.
    if (!options.backup || part->has_backup(*options.backup)) parts.push_back(std::move(part));
  }
  if (!parts.empty()) return parts;
  return Error::not_found(
             fmt::format("cluster {} has no backup {}", cluster, options.backup->text()))
      .with_hint("\"pitr list\" shows which there are");
}

}  // namespace

Result<VerifyReport> verify_cluster(Repository& repository, const std::string& cluster,
                                    const VerifyOptions& options, Observer& observer,
                                    const Clock& clock, std::stop_token stop) {
  if (options.cycle && (options.depth != VerifyDepth::kFull || options.backup)) {
    return Error::invalid("a cycle verifies in full, and everything in its turn");
  }
  ReadMeter meter(options.max_rate_bytes_per_second, observer, stop);
  observer.phase("listing objects", 0);
  auto parts = TRY(with_context(read_incarnations(repository, cluster, options, meter, clock.now()),
                                "verifying " + cluster));
  std::uint64_t bytes = 0;
  for (const auto& part : parts) bytes += part->bytes_to_read();
  observer.phase("verifying objects", bytes);
  for (const auto& part : parts) part->check_objects();
  observer.phase("looking for what is missing", 0);
  for (const auto& part : parts) part->check_needs();
  if (options.depth == VerifyDepth::kFull) {
    observer.phase(options.cycle ? "reading block maps" : "reading backups", 0);
    for (const auto& part : parts) part->check_backups();
  }
  VerifyReport report;
  report.depth = options.depth;
  for (const auto& part : parts) part->finish(report);
  report.checked_bytes = meter.bytes();
  report.was_stopped = stop.stop_requested();
  if (!options.record || report.was_stopped) return report;
  for (const auto& part : parts) {
    const auto recorded = part->record(clock.now());
    if (recorded) continue;
    report.warnings.push_back(
        fmt::format("what was found could not be recorded: {}", recorded.error().message()));
  }
  return report;
}

}  // namespace pitr
