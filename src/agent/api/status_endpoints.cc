// How clusters are, and the metrics.
#include <nlohmann/json.hpp>

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

Json status_of(const ApiContext& context, const AgentMember& member, std::stop_token stop) {
  return to_json(collect_cluster_status(member.service->config(), member.status(),
                                        &context.repository, "", std::move(stop)));
}

http::Response show_cluster(const ApiContext& context, const ApiCall& call) {
  const auto member = cluster_of(context, call);
  if (!member) return http::Response::of(member.error());
  return http::Response::json(status_of(context, **member, call.request.stop).dump() + "\n");
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
  return http::Response::json(recovery_window_json((*member)->name(), *report).dump() + "\n");
}

http::Response show_all(const ApiContext& context, const ApiCall& call) {
  auto clusters = Json::array();
  for (const auto& member : context.members) {
    if (!call.caller.may_see(member.name())) continue;
    clusters.push_back(status_of(context, member, call.request.stop));
  }
  return http::Response::json(Json{{"clusters", std::move(clusters)}}.dump() + "\n");
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
