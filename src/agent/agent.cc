#include "agent/agent.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "agent/backup_stream.h"
#include "agent/cluster_status.h"
#include "agent/host.h"
#include "agent/metrics/metric_page.h"
#include "agent/status_json.h"
#include "common/log.h"
#include "config/changes.h"

namespace pitr {

Agent::Agent(Config config, Repository& repository, Clock& clock)
    : config_(std::move(config)), repository_(repository), clock_(clock) {}

Result<void> Agent::add(const ClusterConfig& cluster) {
  auto book = TRY(JobBook::create(cluster.name, cluster.schedule));
  Member member;
  member.service = std::make_unique<ClusterService>(repository_, cluster, clock_, &events_);
  member.jobs = std::make_unique<ClusterJobs>(*member.service, repository_, clock_);
  member.runner = std::make_unique<JobRunner>(
      cluster.name, std::move(book), *member.jobs, member.service->turn(), clock_,
      config_.agent.state_directory / cluster.name / "jobs.json");
  members_.push_back(std::move(member));
  return {};
}

Result<std::unique_ptr<Agent>> Agent::start(Config config, Repository& repository, Clock& clock,
                                            AgentOptions options) {
  std::unique_ptr<Agent> agent(new Agent(std::move(config), repository, clock));
  for (const auto& cluster : agent->config_.clusters) TRY(agent->add(cluster));
  const Path socket = agent->config_.agent.socket;
  TRY(create_directories_durably(socket.parent_path(), 0755));
  http::ServerOptions unix_options;
  unix_options.socket_path = socket;
  agent->metrics_ = std::make_unique<Metrics>(agent->config_, repository, agent->services(),
                                              options.storage_meter, clock, options.metrics);
  agent->server_ = TRY(http::Server::start(std::move(unix_options), agent->routes()));
  if (const auto& listen = agent->config_.agent.http.listen) {
    http::TcpServerOptions tcp_options{.address = listen->address, .port = listen->port};
    agent->tcp_server_ = TRY(http::Server::start(std::move(tcp_options), agent->public_routes()));
  }
  for (auto& member : agent->members_) {
    member.service->start_streaming();
    member.runner->start();
  }
  agent->has_started_ = true;
  agent->publish(EventType::kAgentStarted, "the agent on " + host_name() + " started", {});
  return agent;
}

Agent::~Agent() {
  stop();
}

void Agent::stop() {
  if (std::exchange(has_started_, false)) {
    publish(EventType::kAgentStopped, "the agent on " + host_name() + " stops", {});
  }
  for (auto& member : members_) {
    member.runner->request_stop();
    member.service->request_stop();
  }
  if (server_) server_->stop();
  server_.reset();
  tcp_server_.reset();
  metrics_.reset();
  members_.clear();
}

void Agent::publish(EventType type, std::string message,
                    std::map<std::string, std::string> details) {
  details["host"] = host_name();
  Event event;
  event.type = type;
  event.time = clock_.now();
  event.message = std::move(message);
  event.details = std::move(details);
  events_.publish(std::move(event));
}

static std::string joined(const std::vector<std::string>& keys) {
  return fmt::format("{}", fmt::join(keys, ", "));
}

void Agent::reload(const Config& config) {
  const auto changes = compare_configs(config_, config);
  for (const auto& member : members_) {
    const auto* wanted = config.find_cluster(member.service->config().name);
    if (!wanted) continue;
    member.service->set_policies(*wanted);
    const auto scheduled = member.runner->set_schedule(wanted->schedule);
    if (!scheduled) log::error("cluster {}: {}", wanted->name, scheduled.error().message());
    for (auto& cluster : config_.clusters) {
      if (cluster.name != wanted->name) continue;
      cluster.backup = wanted->backup;
      cluster.retention = wanted->retention;
      cluster.schedule = wanted->schedule;
    }
  }
  config_.agent.log_level = config.agent.log_level;
  config_.agent.log_format = config.agent.log_format;
  for (const auto& key : changes.taken_over) log::info("configuration: {} is taken over", key);
  for (const auto& key : changes.need_restart) {
    log::warning("configuration: {} changed, which counts after a restart of the agent", key);
  }
  if (changes.taken_over.empty() && changes.need_restart.empty()) {
    return log::info("configuration: nothing changed");
  }
  publish(
      EventType::kConfigurationChanged,
      fmt::format("the configuration of the agent on {} changed", host_name()),
      {{"taken_over", joined(changes.taken_over)}, {"need_restart", joined(changes.need_restart)}});
}

bool Agent::is_alive() const {
  return std::ranges::all_of(members_,
                             [](const Member& member) { return member.runner->is_alive(); });
}

std::vector<ClusterService*> Agent::services() const {
  std::vector<ClusterService*> all;
  for (const auto& member : members_) all.push_back(member.service.get());
  return all;
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

ServiceStatus Agent::status_of(const Member& member) {
  auto status = member.service->status();
  status.jobs = member.runner->status();
  return status;
}

Result<const Agent::Member*> Agent::find(const std::string& cluster) const {
  if (cluster == "-" && members_.size() == 1) return &members_.front();
  std::string names;
  for (const auto& member : members_) {
    const auto& name = member.service->config().name;
    if (name == cluster) return &member;
    names += (names.empty() ? "" : ", ") + name;
  }
  if (cluster == "-") {
    return Error::invalid("several clusters are configured: " + names)
        .with_hint("say which one with --cluster");
  }
  return Error::not_found(fmt::format("this agent has no cluster {}; it has {}", cluster, names));
}

http::Response Agent::store_wal(const http::Request& request) {
  const auto member = find(request.parameter("cluster"));
  if (!member) return http::Response::of(member.error());
  const auto path = request.query_value("path");
  const auto outcome = (*member)->service->archive_wal(path);
  if (!outcome) {
    const Error& error = outcome.error();
    log::error("cluster {}: archiving {}: {}", (*member)->service->config().name, path,
               error.message());
    // Not found would tell pitr-archive that the cluster isn't known.
    if (error.kind() != ErrorKind::kNotFound) return http::Response::of(error);
    return http::Response::of(Error::transient(error.message()).with_hint(error.hint()));
  }
  log::debug("cluster {}: {} is archived", (*member)->service->config().name, path);
  http::Response response;
  response.body = *outcome == PutOutcome::kStored      ? "stored\n"
                  : *outcome == PutOutcome::kKeptAside ? "kept aside\n"
                                                       : "already there\n";
  return response;
}

http::Response Agent::take_backup(const http::Request& request) {
  const auto member = find(request.parameter("cluster"));
  if (!member) return http::Response::of(member.error());
  auto options = parse_backup_options(request.body);
  if (!options) return http::Response::of(options.error());
  if (request.peer_user) {
    options->asked_by = AuditActor{user_name(*request.peer_user), host_name(), "pitr-agent"};
  }
  return stream_backup(*(*member)->service, std::move(*options), request.stop);
}

http::Response Agent::show_cluster(const http::Request& request) {
  const auto member = find(request.parameter("cluster"));
  if (!member) return http::Response::of(member.error());
  const auto status = collect_cluster_status((*member)->service->config(), status_of(**member),
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
  for (const auto& member : members_) {
    const auto status = collect_cluster_status(member.service->config(), status_of(member),
                                               &repository_, "", request.stop);
    clusters.push_back(to_json(status));
  }
  return http::Response::json(nlohmann::json{{"clusters", std::move(clusters)}}.dump() + "\n");
}

}  // namespace pitr
