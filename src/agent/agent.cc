#include "agent/agent.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "agent/backup_stream.h"
#include "agent/cluster_status.h"
#include "agent/metrics/metric_page.h"
#include "agent/status_json.h"
#include "common/log.h"

namespace pitr {

Agent::Agent(Config config, Repository& repository, Clock& clock)
    : config_(std::move(config)), repository_(repository) {
  for (const auto& cluster : config_.clusters) {
    services_.push_back(std::make_unique<ClusterService>(repository, cluster, clock));
  }
}

Result<std::unique_ptr<Agent>> Agent::start(Config config, Repository& repository, Clock& clock,
                                            AgentOptions options) {
  std::unique_ptr<Agent> agent(new Agent(std::move(config), repository, clock));
  const Path socket = agent->config_.agent.socket;
  TRY(create_directories_durably(socket.parent_path(), 0755));
  http::ServerOptions unix_options;
  unix_options.socket_path = socket;
  agent->metrics_ = std::make_unique<Metrics>(agent->config_, repository, agent->services_,
                                              options.storage_meter, clock, options.metrics);
  agent->server_ = TRY(http::Server::start(std::move(unix_options), agent->routes()));
  if (const auto& listen = agent->config_.agent.http.listen) {
    http::TcpServerOptions tcp_options{.address = listen->address, .port = listen->port};
    agent->tcp_server_ = TRY(http::Server::start(std::move(tcp_options), agent->public_routes()));
  }
  for (auto& service : agent->services_) service->start_streaming();
  return agent;
}

Agent::~Agent() {
  stop();
}

void Agent::stop() {
  for (auto& service : services_) service->request_stop();
  if (server_) server_->stop();
  server_.reset();
  tcp_server_.reset();
  metrics_.reset();
  services_.clear();
}

http::Router Agent::routes() {
  http::Router router;
  const auto call = [this](http::Response (Agent::*handler)(const http::Request&)) {
    return [this, handler](const http::Request& request) { return (this->*handler)(request); };
  };
  router.add("POST", "/v1/clusters/{cluster}/wal", call(&Agent::store_wal));
  router.add("POST", "/v1/clusters/{cluster}/backups", call(&Agent::take_backup));
  router.add("GET", "/v1/clusters/{cluster}/status", call(&Agent::show_cluster));
  router.add("GET", "/v1/status", call(&Agent::show_all));
  router.add("GET", "/metrics", call(&Agent::show_metrics));
  return router;
}

http::Router Agent::public_routes() {
  http::Router router;
  router.add("GET", "/metrics",
             [this](const http::Request& request) { return show_metrics(request); });
  return router;
}

Result<ClusterService*> Agent::find(const std::string& cluster) const {
  if (cluster == "-" && services_.size() == 1) return services_.front().get();
  std::string names;
  for (const auto& service : services_) {
    if (service->config().name == cluster) return service.get();
    names += (names.empty() ? "" : ", ") + service->config().name;
  }
  if (cluster == "-") {
    return Error::invalid("several clusters are configured: " + names)
        .with_hint("say which one with --cluster");
  }
  return Error::not_found(fmt::format("this agent has no cluster {}; it has {}", cluster, names));
}

http::Response Agent::store_wal(const http::Request& request) {
  const auto service = find(request.parameter("cluster"));
  if (!service) return http::Response::of(service.error());
  const auto path = request.query_value("path");
  const auto outcome = (*service)->archive_wal(path);
  if (!outcome) {
    const Error& error = outcome.error();
    log::error("cluster {}: archiving {}: {}", (*service)->config().name, path, error.message());
    // Not found would tell pitr-archive that the cluster isn't known.
    if (error.kind() != ErrorKind::kNotFound) return http::Response::of(error);
    return http::Response::of(Error::transient(error.message()).with_hint(error.hint()));
  }
  log::debug("cluster {}: {} is archived", (*service)->config().name, path);
  http::Response response;
  response.body = *outcome == PutOutcome::kStored      ? "stored\n"
                  : *outcome == PutOutcome::kKeptAside ? "kept aside\n"
                                                       : "already there\n";
  return response;
}

http::Response Agent::take_backup(const http::Request& request) {
  const auto service = find(request.parameter("cluster"));
  if (!service) return http::Response::of(service.error());
  auto options = parse_backup_options(request.body);
  if (!options) return http::Response::of(options.error());
  return stream_backup(**service, std::move(*options), request.stop);
}

http::Response Agent::show_cluster(const http::Request& request) {
  const auto service = find(request.parameter("cluster"));
  if (!service) return http::Response::of(service.error());
  const auto status = collect_cluster_status((*service)->config(), (*service)->status(),
                                             &repository_, "", request.stop);
  return http::Response::json(to_json(status).dump() + "\n");
}

http::Response Agent::show_metrics(const http::Request&) {
  http::Response response;
  response.content_type = MetricPage::kContentType;
  response.body = metrics_->page();
  return response;
}

http::Response Agent::show_all(const http::Request& request) {
  auto clusters = nlohmann::json::array();
  for (const auto& service : services_) {
    const auto status = collect_cluster_status(service->config(), service->status(), &repository_,
                                               "", request.stop);
    clusters.push_back(to_json(status));
  }
  return http::Response::json(nlohmann::json{{"clusters", std::move(clusters)}}.dump() + "\n");
}

}  // namespace pitr
