// How clusters are, and the metrics.
#include <algorithm>
#include <atomic>
#include <nlohmann/json.hpp>
#include <thread>

#include "agent/api/api_route.h"
#include "agent/api/openapi.h"
#include "agent/metrics/metric_page.h"
#include "agent/reports/cluster_status.h"
#include "agent/reports/repository_report.h"
#include "agent/reports/status_json.h"
#include "repository/incarnations.h"

namespace pitr {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kMostAskedAtOnce = 16;

Json status_of(const ApiContext& context, const AgentMember& member, std::stop_token stop) {
  return to_json(collect_cluster_status(member.service->config(), member.status(),
                                        &context.repository, "", std::move(stop)));
}

// Labels that were given without an agent may be any bytes; one must not take the status away.
http::Response answer(const Json& json) {
  return http::Response::json(json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n");
}

http::Response show_cluster(const ApiContext& context, const ApiCall& call) {
  const auto member = cluster_of(context, call);
  if (!member) return http::Response::of(member.error());
  return answer(status_of(context, **member, call.request.stop));
}

Result<RepositoryReport> report_of(Repository& repository, const std::string& cluster) {
  const auto store = TRY(newest_incarnation(repository, cluster));
  return report_repository(store);
}

http::Response show_window(const ApiContext& context, const ApiCall& call) {
  const auto member = cluster_of(context, call);
  if (!member) return http::Response::of(member.error());
  const auto report = report_of(context.repository, (*member)->name());
  if (!report) return http::Response::of(report.error());
  return answer(recovery_window_json((*member)->name(), *report));
}

// Several at once: each waits some seconds where the server doesn't answer.
std::vector<Json> statuses_of(const ApiContext& context,
                              const std::vector<const AgentMember*>& members,
                              std::stop_token stop) {
  std::vector<Json> statuses(members.size());
  std::atomic<std::size_t> next = 0;
  const auto work = [&] {
    for (auto i = next++; i < members.size(); i = next++) {
      statuses[i] = status_of(context, *members[i], stop);
    }
  };
  std::vector<std::jthread> threads;
  const auto count = std::min(members.size(), kMostAskedAtOnce);
  while (threads.size() < count) threads.emplace_back(work);
  threads.clear();  // joins
  return statuses;
}

http::Response show_all(const ApiContext& context, const ApiCall& call) {
  std::vector<const AgentMember*> members;
  for (const auto& member : context.members) {
    if (call.caller.may_see(member.name())) members.push_back(&member);
  }
  return answer({{"clusters", statuses_of(context, members, call.request.stop)}});
}

http::Response show_metrics(const ApiContext& context) {
  http::Response response;
  response.content_type = MetricPage::kContentType;
  response.body = context.metrics.page();
  return response;
}

}  // namespace

void add_status_routes(const ApiContext& context, std::vector<ApiRoute>& routes) {
  routes.push_back({"GET", "/v1/status", Role::kViewer, Reach::kAnywhere,
                    [context](const ApiCall& call) { return show_all(context, call); }});
  routes.push_back({"GET", "/v1/clusters/{cluster}/status", Role::kViewer, Reach::kAnywhere,
                    [context](const ApiCall& call) { return show_cluster(context, call); }});
  routes.push_back({"GET", "/v1/clusters/{cluster}/recovery-window", Role::kViewer,
                    Reach::kAnywhere,
                    [context](const ApiCall& call) { return show_window(context, call); }});
  routes.push_back({"GET", "/v1/openapi.json", Role::kViewer, Reach::kAnywhere, [](const ApiCall&) {
                      return http::Response::json(std::string(openapi_text()));
                    }});
  routes.push_back({"GET", "/metrics", Role::kViewer, Reach::kAnywhere,
                    [context](const ApiCall&) { return show_metrics(context); }});
}

}  // namespace pitr
