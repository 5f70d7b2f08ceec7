#include "agent/checks/check_stored.h"

#include <fmt/format.h>
#include <unistd.h>

#include "agent/reports/repository_report.h"
#include "common/readable.h"
#include "repository/incarnations.h"

namespace pitr {

static constexpr std::uint64_t kLittleSpaceBytes = 1ull << 30;
static constexpr std::uint64_t kLittleSpacePercent = 10;

// Puts, reads and removes an object of its own.
static Result<void> probe(Storage& storage, const Clock& clock) {
  const auto name = fmt::format("probe/{}-{}-{}", to_compact_string(clock.now()), ::getpid(),
                                clock.steady_now().time_since_epoch().count());
  const auto key = ObjectKey::from_parts(name);
  static constexpr std::string_view kText = "written by pitr check";
  TRY(storage.put(key, as_bytes(kText)));
  const auto read = TRY(storage.get(key, 4096));
  TRY(storage.remove(key));
  if (as_text(read) != kText) return Error::corrupt("what was written is not what is read");
  return {};
}

static void check_space(Storage& storage, Findings& findings) {
  const auto free = storage.free_bytes();
  if (!free || !*free) return;
  const auto capacity = storage.capacity_bytes();
  const bool is_little_of_all =
      capacity && *capacity && **free < **capacity / 100 * kLittleSpacePercent;
  if (**free < kLittleSpaceBytes || is_little_of_all) {
    auto text = format_bytes(**free) + " in the repository";
    if (is_little_of_all) text += " of " + format_bytes(**capacity);
    findings.warning(std::string(kFreeSpaceSubject), text,
                     "make room: when it is full, the server keeps WAL until its disk is full too");
  } else {
    findings.ok(std::string(kFreeSpaceSubject), format_bytes(**free) + " in the repository");
  }
}

void check_storage(Storage& storage, const Clock& clock, Findings& findings) {
  const auto probed = probe(storage, clock);
  if (!probed) {
    findings.problem("repository", probed.error(), "make it writable for the user of the agent");
  } else {
    findings.ok("repository", storage.description() + " can be written and read");
  }
  check_space(storage, findings);
}

void check_streaming(const SeenStreaming& seen, Findings& findings) {
  if (seen.state.empty()) {
    return findings.problem(std::string(kStreamingSubject),
                            "the agent does not stream this cluster yet", "pitr status says why");
  }
  if (seen.state == "connecting" && seen.last_error.empty()) {
    return findings.warning(std::string(kStreamingSubject), "the agent is connecting",
                            "look again in a minute: pitr status");
  }
  if (seen.state != "streaming") {
    return findings.problem(
        std::string(kStreamingSubject),
        seen.last_error.empty() ? "the agent is " + seen.state : seen.last_error,
        "mend that; the agent tries again by itself");
  }
  findings.ok(std::string(kStreamingSubject),
              seen.lag_bytes == 0 ? "nothing behind the server"
                                  : format_bytes(seen.lag_bytes) + " behind the server");
}

static void check_age(const BackupManifest& last, Milliseconds wanted, const Clock& clock,
                      Findings& findings) {
  const auto age = clock.now() - last.stop_time;
  const auto text = fmt::format("the last one is {} old", format_duration(to_seconds(age)));
  if (age <= wanted) return findings.ok("backups", text);
  findings.problem("backups",
                   fmt::format("{}, and objectives: backup_age wants one of at most {}", text,
                               format_duration(to_seconds(wanted))),
                   "pitr status says why the schedule took none since; pitr backup takes one");
}

static void check_damage(const std::vector<std::string>& damaged, Findings& findings) {
  if (damaged.empty()) return;
  findings.problem(
      "damage",
      fmt::format("verification found {} damaged: {}{}",
                  damaged.size() == 1 ? "what is stored" : fmt::format("{} parts", damaged.size()),
                  damaged.front(), damaged.size() == 1 ? "" : " first"),
      "pitr verify names the backups that it touches; pitr backup stores lost blocks afresh");
}

static void check_backups(const IncarnationStore& store, const ObjectivesConfig& objectives,
                          const Clock& clock, Findings& findings) {
  const auto report = report_repository(store);
  if (!report) return findings.problem("backups", report.error());
  if (!report->last_backup) {
    return findings.problem("backups", "there is none, so nothing can be restored",
                            "pitr backup takes one");
  }
  const auto& last = *report->last_backup;
  check_age(last, objectives.backup_age, clock, findings);
  check_damage(report->damaged, findings);
  if (last.checksum_failure_count > 0) {
    findings.problem(
        "page checksums",
        fmt::format("{} pages were wrong in the last backup", last.checksum_failure_count),
        "pitr show latest names them; the cluster's disk or memory is suspect");
  }
  if (!report->window_ended_by.empty()) {
    findings.problem("WAL", "there is a gap: " + report->window_ended_by,
                     "take a new backup: nothing behind the gap can be restored without it");
  } else if (!report->windows.empty()) {
    findings.ok("WAL",
                "without a gap since " + without_fraction(to_string(report->windows.back().from)));
  }
}

void check_stored(Repository& repository, const ClusterConfig& cluster,
                  const std::optional<ServerIdentity>& server, const Clock& clock,
                  Findings& findings) {
  const auto known = registered_incarnations(repository, cluster.name);
  if (!known) return findings.problem("repository", known.error());
  if (known->empty()) {
    return findings.problem("repository", "does not know this cluster yet", "pitr init");
  }
  const auto& newest = known->back();
  if (server && (server->system_identifier != newest.id.system_identifier ||
                 server->major_version != newest.id.major_version)) {
    return findings.problem(
        "identity",
        fmt::format("the server is PostgreSQL {} with system identifier {}, the repository "
                    "holds PostgreSQL {} with {}",
                    server->major_version, server->system_identifier, newest.id.major_version,
                    newest.id.system_identifier),
        "correct \"connection\"; after a new initdb or pg_upgrade: pitr init");
  }
  check_backups(IncarnationStore(repository, newest.id, newest.segment_size), cluster.objectives,
                clock, findings);
}

}  // namespace pitr
