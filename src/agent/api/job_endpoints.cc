// Verifying and expiring: watched as they go, in the cluster's turn.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "agent/api/api_route.h"
#include "agent/api/job_options.h"
#include "agent/api/progress_stream.h"
#include "agent/reports/expire_json.h"
#include "agent/reports/find_backup.h"
#include "agent/reports/verify_json.h"

namespace pitr {
namespace {

http::Response verify(const ApiContext& context, const ApiCall& call) {
  const auto member = cluster_of(context, call);
  if (!member) return http::Response::of(member.error());
  auto request = parse_verify_request(call.request.body);
  if (!request) return http::Response::of(request.error());
  auto work = [&member = **member, &repository = context.repository, request = std::move(*request),
               asked_by = call.caller.actor()](Observer& observer,
                                               std::stop_token stop) -> Result<nlohmann::json> {
    auto options = request.options;
    if (!request.backup.empty()) {
      options.backup = TRY(find_backup(repository, member.name(), request.backup)).id;
    }
    const auto report =
        TRY(member.jobs->verify_now(options, {request.reason, asked_by}, observer, stop));
    return to_json(report, member.name());
  };
  return stream_work("report", std::move(work), call.request.stop);
}

Result<void> check_expire(const AgentMember& member, const Caller& caller,
                          const ExpireRequest& request) {
  if (!request.dry_run && caller.role < Role::kAdmin) {
    return Error::denied(fmt::format("{} is {}, and to delete takes the role admin", caller.name,
                                     to_string(caller.role)))
        .with_hint("a dry run takes the role operator");
  }
  const auto policy = policy_text(member.service->retention_config());
  if (request.policy.empty() || request.policy == policy) return {};
  return Error::conflict(fmt::format("the agent has another retention policy of cluster {} loaded "
                                     "than the configuration file says now",
                                     member.name()))
      .with_hint("make it read the file again first: systemctl reload pitr-agent");
}

http::Response expire(const ApiContext& context, const ApiCall& call) {
  const auto member = cluster_of(context, call);
  if (!member) return http::Response::of(member.error());
  const auto request = parse_expire_request(call.request.body);
  if (!request) return http::Response::of(request.error());
  const auto allowed = check_expire(**member, call.caller, *request);
  if (!allowed) return http::Response::of(allowed.error());
  auto work = [&member = **member, request = *request, asked_by = call.caller.actor()](
                  Observer& observer, std::stop_token stop) -> Result<nlohmann::json> {
    const auto report =
        TRY(request.dry_run ? member.jobs->show_expire()
                            : member.jobs->expire_now({request.reason, asked_by}, observer, stop));
    return to_json(report, member.name(), request.dry_run);
  };
  return stream_work("report", std::move(work), call.request.stop);
}

}  // namespace

void add_job_routes(const ApiContext& context, std::vector<ApiRoute>& routes) {
  routes.push_back({"POST", "/v1/clusters/{cluster}/verify", Role::kOperator, Reach::kAnywhere,
                    [context](const ApiCall& call) { return verify(context, call); }});
  // Admin where it isn't a dry run.
  routes.push_back({"POST", "/v1/clusters/{cluster}/expire", Role::kOperator, Reach::kAnywhere,
                    [context](const ApiCall& call) { return expire(context, call); }});
}

}  // namespace pitr
