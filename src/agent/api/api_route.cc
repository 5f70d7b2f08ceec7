#include "agent/api/api_route.h"

#include <fmt/format.h>

namespace pitr {

Result<const AgentMember*> cluster_of(const ApiContext& context, const ApiCall& call) {
  const auto name = call.request.parameter("cluster");
  const auto denied =
      Error::denied(fmt::format("{} has no access to cluster {}", call.caller.name, name));
  // Before it is looked up: the names of others are not his to know.
  if (name != "-" && !call.caller.may_see(name)) return denied;
  if (name == "-" && !call.caller.clusters.empty() && context.members.size() > 1) return denied;
  const auto* member = TRY(find_member(context.members, name));
  if (!call.caller.may_see(member->name())) return denied;
  return member;
}

std::vector<ApiRoute> api_routes(const ApiContext& context) {
  std::vector<ApiRoute> routes;
  add_status_routes(context, routes);
  add_backup_routes(context, routes);
  add_job_routes(context, routes);
  add_event_routes(context, routes);
  add_wal_routes(context, routes);
  return routes;
}

}  // namespace pitr
