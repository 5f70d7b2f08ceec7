#include "programs/pitr/cmd_facts.h"

#include <fmt/format.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "agent/repository_access.h"
#include "programs/exit_codes.h"
#include "programs/stop_signals.h"
#include "programs/terminal_progress.h"
#include "repository/incarnations.h"
#include "repository/wal/facts_rebuild.h"

namespace pitr {
namespace {

Result<FactsRebuildRange> range_of(const FactsRebuildOptions& options) {
  FactsRebuildRange range;
  if (options.timeline != 0) range.timeline = TimelineId(options.timeline);
  if (!options.from_lsn.empty()) range.from = TRY(Lsn::parse(options.from_lsn));
  if (!options.to_lsn.empty()) range.to = TRY(Lsn::parse(options.to_lsn));
  return range;
}

nlohmann::json to_json(const FactsRebuildReport& report, SegmentSize size) {
  auto failures = nlohmann::json::array();
  for (const auto& failure : report.failures) {
    failures.push_back(
        {{"segment", segment_file_name(failure.segment, size)}, {"reason", failure.reason}});
  }
  return {{"segments", report.segments},
          {"wal_bytes", report.wal_bytes},
          {"added", report.added},
          {"replaced", report.replaced},
          {"unchanged", report.unchanged},
          {"unresolved", report.unresolved},
          {"logs_rolled_up", report.logs_rolled_up},
          {"failures", std::move(failures)}};
}

std::string describe(const FactsRebuildReport& report, SegmentSize size) {
  if (report.segments == 0) return "No complete WAL segment is stored in that range.";
  auto text = fmt::format(
      "Read {} segments ({} of WAL): facts of {} were missing, of {} different, "
      "of {} the same.",
      report.segments, format_bytes(report.wal_bytes), report.added, report.replaced,
      report.unchanged);
  if (report.unresolved > 0) {
    text += fmt::format(
        "\n{} of them begin a stretch of WAL: what came before is not stored, so a "
        "backup cannot be incremental across their start.",
        report.unresolved);
  }
  for (const auto& failure : report.failures) {
    text += fmt::format("\nDamaged: segment {}: {}", segment_file_name(failure.segment, size),
                        failure.reason);
  }
  return text;
}

}  // namespace

Result<int> run_facts_rebuild(const CommandContext& context, const FactsRebuildOptions& options) {
  const auto range = TRY(range_of(options));
  const auto* cluster = TRY(context.cluster());
  const StopSignals signals;
  SystemClock clock;
  auto access = TRY(RepositoryAccess::open(context.config(), clock));
  const auto store = TRY(newest_incarnation(access->repository(), cluster->name));
  const WalArchive archive(store);
  FactsStore facts(store);
  TerminalProgress progress(context.json() ? TerminalProgress::Style::kSilent
                                           : TerminalProgress::style_of(STDERR_FILENO));
  const auto report = TRY(rebuild_facts(archive, facts, range, progress, signals.token()));
  progress.finish();
  print(context.json() ? to_json(report, store.segment_size()).dump(2)
                       : describe(report, store.segment_size()));
  return report.failures.empty() ? kExitSuccess : exit_code(ErrorKind::kCorrupt);
}

}  // namespace pitr
