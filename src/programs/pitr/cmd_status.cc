#include "programs/pitr/cmd_status.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "agent/reports/cluster_status.h"
#include "agent/reports/status_json.h"
#include "agent/repository_access.h"
#include "programs/exit_codes.h"
#include "programs/pitr/status_view.h"

namespace pitr {
namespace {

using Json = nlohmann::json;

// nullopt: no agent answers.
Result<std::optional<Json>> ask_agent(const CommandContext& context) {
  const auto& name = context.cluster_name();
  const auto path = name.empty() ? "/v1/status" : "/v1/clusters/" + name + "/status";
  auto answer = TRY(context.ask_agent("GET", path));
  if (!answer) return std::optional<Json>();
  auto json = TRY(parse_json(answer->body));
  if (json.is_object() && !name.empty()) return std::optional(Json::array({std::move(json)}));
  if (!json.is_object() || !json["clusters"].is_array()) {
    return Error::corrupt("the agent's answer is not a status");
  }
  return std::optional<Json>(std::move(json["clusters"]));
}

Json without_agent(const CommandContext& context,
                   const std::vector<const ClusterConfig*>& clusters) {
  SystemClock clock;
  auto access = RepositoryAccess::open(context.config(), clock);
  Repository* repository = access ? &(*access)->repository() : nullptr;
  const std::string trouble = access ? "" : access.error().message();
  Json statuses = Json::array();
  for (const auto* cluster : clusters) {
    statuses.push_back(
        to_json(collect_cluster_status(*cluster, std::nullopt, repository, trouble)));
  }
  return statuses;
}

}  // namespace

Result<int> run_status(const CommandContext& context) {
  const auto clusters = TRY(context.clusters());
  auto answer = ask_agent(context);
  std::string agent_trouble = "no agent answers on " + context.config().agent.socket.native();
  if (!answer) agent_trouble = answer.error().message();
  Json statuses = Json::array();
  if (answer && *answer) {
    for (auto& status : **answer) {
      const auto name = status.value("cluster", "");
      const auto is_it = [&](const ClusterConfig* cluster) { return cluster->name == name; };
      if (std::ranges::any_of(clusters, is_it)) statuses.push_back(std::move(status));
    }
  } else {
    statuses = without_agent(context, clusters);
  }
  const bool all_well = std::ranges::all_of(statuses, is_well);
  const int code =
      all_well && statuses.size() == clusters.size() ? kExitSuccess : kExitFoundTrouble;
  if (context.json()) {
    const Json all{{"clusters", std::move(statuses)}};
    print(all.dump(2, ' ', false, Json::error_handler_t::replace));
    return code;
  }
  for (const auto& status : statuses) print(describe_status(status, agent_trouble));
  return code;
}

}  // namespace pitr
