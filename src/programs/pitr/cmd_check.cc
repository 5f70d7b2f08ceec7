#include "programs/pitr/cmd_check.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "agent/checks/check_server.h"
#include "agent/checks/check_stored.h"
#include "agent/checks/findings.h"
#include "agent/reports/status_json.h"
#include "agent/repository_access.h"
#include "programs/exit_codes.h"

namespace pitr {
namespace {

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
  check_storage((*access)->storage(), clock, findings);
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

void check_notifications(const Config& config, Findings& findings) {
  for (const auto& destination : config.notifications) {
    const auto subject = "notifications to " + destination.name;
    const auto secrets = check_secrets(destination);
    if (secrets) {
      findings.ok(subject, describe(destination));
    } else {
      const auto& error = secrets.error();
      findings.warning(
          subject, "it can't be told of anything: " + error.message(),
          error.hint().empty() ? "correct what \"notifications\" says of it" : error.hint());
    }
  }
}

// As the agent told it.
SeenStreaming streaming_of(const nlohmann::json& clusters, const std::string& name) {
  SeenStreaming seen;
  if (!clusters.is_array()) return seen;
  for (const auto& cluster : clusters) {
    if (cluster.value("cluster", "") != name || !cluster.at("agent").is_object()) continue;
    const auto& receiver = cluster.at("agent").at("receiver");
    if (!receiver.is_object()) continue;
    const auto error = receiver.at("last_error");
    seen = {receiver.value("state", ""), error.is_string() ? error.get<std::string>() : "",
            receiver.value("lag_bytes", std::uint64_t{0})};
  }
  return seen;
}

}  // namespace

Result<int> run_check(const CommandContext& context) {
  const auto clusters = TRY(context.clusters());
  SystemClock clock;
  Findings findings;
  const auto access = check_repository(context.config(), clock, findings);
  const auto agent = check_agent(context, findings);
  check_notifications(context.config(), findings);
  for (const auto* cluster : clusters) {
    findings.begin(cluster->name);
    const auto server = check_server(*cluster, clock, {}, findings);
    // Told already where no agent answers.
    if (!agent.is_null()) check_streaming(streaming_of(agent, cluster->name), findings);
    if (access) check_stored(access->repository(), *cluster, server, clock, findings);
  }
  print(context.json() ? to_json_text(findings) : to_text(findings));
  return findings.count(Severity::kProblem) == 0 ? kExitSuccess : kExitFoundTrouble;
}

}  // namespace pitr
