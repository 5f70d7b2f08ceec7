#include "agent/agent.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "agent/api/api_routers.h"
#include "agent/host.h"
#include "common/log.h"
#include "config/changes.h"
#include "config/listen_address.h"

namespace pitr {

Agent::Agent(Config config, Repository& repository, Clock& clock)
    : config_(std::move(config)),
      repository_(repository),
      clock_(clock),
      notifier_(clock, host_name()),
      slots_(config_.agent.parallel_jobs) {}

Result<void> Agent::add(const ClusterConfig& cluster) {
  auto book = TRY(JobBook::create(cluster.name, cluster.schedule));
  AgentMember member;
  member.service = std::make_unique<ClusterService>(repository_, cluster, clock_, &events_);
  member.jobs = std::make_unique<ClusterJobs>(*member.service, repository_, clock_);
  member.runner = std::make_unique<JobRunner>(
      cluster.name, std::move(book), *member.jobs, slots_, member.service->turn(), clock_,
      config_.agent.state_directory / cluster.name / "jobs.json");
  members_.push_back(std::move(member));
  return {};
}

static http::TlsFiles tls_files(const HttpConfig& config) {
  return {config.tls_certificate, config.tls_key, config.tls_client_ca};
}

Result<std::unique_ptr<Agent>> Agent::start(Config config, Repository& repository, Clock& clock,
                                            AgentOptions options) {
  std::unique_ptr<Agent> agent(new Agent(std::move(config), repository, clock));
  agent->farewell_ = options.farewell;
  for (const auto& cluster : agent->config_.clusters) TRY(agent->add(cluster));
  const Path socket = agent->config_.agent.socket;
  TRY(create_directories_durably(socket.parent_path(), 0755));
  http::ServerOptions unix_options;
  unix_options.socket_path = socket;
  agent->metrics_ =
      std::make_unique<Metrics>(agent->config_, repository, agent->services(),
                                options.storage_meter, agent->notifier_, clock, options.metrics);
  const ApiContext api{agent->members_, repository, *agent->metrics_, agent->events_};
  agent->server_ = TRY(http::Server::start(std::move(unix_options), socket_router(api)));
  if (const auto& listen = agent->config_.agent.http.listen) {
    const auto& http = agent->config_.agent.http;
    http::TcpServerOptions tcp_options{.address = listen->address, .port = listen->port};
    if (http.has_tls()) tcp_options.tls = TRY(http::TlsContext::load(tls_files(http)));
    agent->gate_ =
        std::make_unique<ApiGate>(ApiGateOptions{http.tokens, http.metrics_need_token,
                                                 !is_loopback(*listen) && !http.has_tls()},
                                  clock, agent->metrics_->api());
    agent->tcp_server_ =
        TRY(http::Server::start(std::move(tcp_options), tcp_router(api, *agent->gate_)));
  }
  agent->notifier_.configure(agent->config_.notifications);
  agent->events_.add_listener(agent->notifier_);
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
  const bool has_run = std::exchange(has_started_, false);
  if (has_run) {
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
  events_.remove_listener(notifier_);
  if (has_run) notifier_.wait_until_told(farewell_);
  notifier_.stop();
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

// The files' names stay, their content may have been renewed.
void Agent::reload_certificate() {
  const auto& http = config_.agent.http;
  if (!tcp_server_ || !http.has_tls()) return;
  auto loaded = http::TlsContext::load(tls_files(http));
  if (loaded) return tcp_server_->set_tls(std::move(*loaded));
  log::error("the certificate for TLS is not read anew, the one before stays: {}",
             loaded.error().message());
}

void Agent::reload(const Config& config) {
  const auto changes = compare_configs(config_, config);
  reload_certificate();
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
  if (config_.notifications != config.notifications) notifier_.configure(config.notifications);
  config_.notifications = config.notifications;
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
                             [](const AgentMember& member) { return member.runner->is_alive(); });
}

std::vector<ClusterService*> Agent::services() const {
  std::vector<ClusterService*> all;
  for (const auto& member : members_) all.push_back(member.service.get());
  return all;
}

}  // namespace pitr
