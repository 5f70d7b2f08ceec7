#include "programs/cmd_check.h"

#include <fmt/format.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "agent/host.h"
#include "agent/repository_access.h"
#include "agent/repository_report.h"
#include "agent/status_json.h"
#include "programs/check_server.h"
#include "programs/exit_codes.h"
#include "programs/findings.h"
#include "programs/terminal_progress.h"
#include "programs/text_table.h"
#include "repository/incarnations.h"

namespace pitr {
namespace {

constexpr std::uint64_t kLittleSpaceBytes = 1ull << 30;
constexpr Microseconds kOldBackup = std::chrono::hours(24 * 7);

// Puts, reads and removes an object of its own.
Result<void> probe(Storage& storage, const Clock& clock) {
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

void check_space(Storage& storage, Findings& findings) {
  const auto free = storage.free_bytes();
  if (!free || !*free) return;
  if (**free < kLittleSpaceBytes) {
    findings.warning("free space", format_bytes(**free) + " in the repository",
                     "make room: when it is full, the server keeps WAL until its disk is full too");
  } else {
    findings.ok("free space", format_bytes(**free) + " in the repository");
  }
}

std::unique_ptr<RepositoryAccess> check_repository(const Config& config, const Clock& clock,
                                                   Findings& findings) {
  const auto key = read_encryption_key(config.encryption);
  if (!key) {
    findings.problem("key", key.error(),
                     "bring the key back, or run pitr init for a new repository");
    return nullptr;
  }
  findings.ok("key", *key ? "key " + (*key)->id() : "none: the repository is not encrypted");
  auto access = RepositoryAccess::open(config, clock);
  if (!access) {
    findings.problem("repository", access.error());
    return nullptr;
  }
  const auto probed = probe((*access)->storage(), clock);
  if (!probed) {
    findings.problem("repository", probed.error(), "make it writable for the user of the agent");
  } else {
    findings.ok("repository", (*access)->storage().description() + " can be written and read");
  }
  check_space((*access)->storage(), findings);
  return std::move(*access);
}

// What the agent says of its clusters, by name; null: no agent.
nlohmann::json check_agent(const CommandContext& context, Findings& findings) {
  const std::string socket = context.config().agent.socket.native();
  auto answer = context.ask_agent("GET", "/v1/status");
  if (!answer) {
    findings.problem("agent", answer.error(), "look into its log");
    return {};
  }
  if (!*answer) {
    findings.problem("agent", "none answers on " + socket,
                     "start it: systemctl start pitr-agent, or pitr-agent");
    return {};
  }
  auto json = parse_json((*answer)->body);
  if (!json || !json->is_object()) {
    findings.problem("agent", "its answer is not a status", "upgrade agent and pitr together");
    return {};
  }
  findings.ok("agent", "answers on " + socket);
  return (*json)["clusters"];
}

const nlohmann::json* find_receiver(const nlohmann::json& clusters, const std::string& name) {
  if (!clusters.is_array()) return nullptr;
  for (const auto& cluster : clusters) {
    if (cluster.value("cluster", "") == name && cluster.at("agent").is_object()) {
      return &cluster.at("agent").at("receiver");
    }
  }
  return nullptr;
}

void check_streaming(const nlohmann::json& clusters, const std::string& name, Findings& findings) {
  if (clusters.is_null()) return;  // told already
  const auto* receiver = find_receiver(clusters, name);
  if (receiver == nullptr || receiver->is_null()) {
    return findings.problem("streaming", "the agent does not stream this cluster yet",
                            "pitr status says why");
  }
  const auto state = receiver->value("state", "");
  if (state != "streaming") {
    const auto error = receiver->at("last_error");
    return findings.problem("streaming",
                            error.is_string() ? error.get<std::string>() : "the agent is " + state,
                            "mend that; the agent tries again by itself");
  }
  const auto lag_bytes = receiver->value("lag_bytes", std::uint64_t{0});
  findings.ok("streaming", lag_bytes == 0 ? "nothing behind the server"
                                          : format_bytes(lag_bytes) + " behind the server");
}

void check_backups(const IncarnationStore& store, const Clock& clock, Findings& findings) {
  const auto report = report_repository(store);
  if (!report) return findings.problem("backups", report.error());
  if (!report->last_backup) {
    return findings.problem("backups", "there is none, so nothing can be restored",
                            "pitr backup takes one");
  }
  const auto& last = *report->last_backup;
  const auto age = clock.now() - last.stop_time;
  const auto text = fmt::format("the last one is {} old",
                                format_duration(static_cast<double>(age.count()) / 1e6));
  if (age > kOldBackup) {
    findings.warning("backups", text, "pitr backup, from a timer: restores replay all WAL since");
  } else {
    findings.ok("backups", text);
  }
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
  check_backups(IncarnationStore(repository, newest.id, newest.segment_size), clock, findings);
}

}  // namespace

Result<int> run_check(const CommandContext& context) {
  const auto clusters = TRY(context.clusters());
  SystemClock clock;
  Findings findings;
  const auto access = check_repository(context.config(), clock, findings);
  const auto agent = check_agent(context, findings);
  for (const auto* cluster : clusters) {
    findings.begin(cluster->name);
    const auto server = check_server(*cluster, clock, findings);
    check_streaming(agent, cluster->name, findings);
    if (access) check_stored(access->repository(), *cluster, server, clock, findings);
  }
  print(context.json() ? to_json_text(findings) : to_text(findings));
  return findings.count(Severity::kProblem) == 0 ? kExitSuccess : exit_code(ErrorKind::kInvalid);
}

}  // namespace pitr
