#include "programs/pitr/command_context.h"

#include <fmt/format.h>

#include <cstdio>

#include "config/load.h"
#include "programs/exit_codes.h"

namespace pitr {

Result<CommandContext> CommandContext::load(const CommonOptions& options) {
  ConfigSearch search;
  if (!options.config_file.empty()) search.from_option = options.config_file;
  auto file = TRY(find_config_file(search));
  auto config = TRY(load_config(file));
  return CommandContext(options, std::move(file), std::move(config));
}

static std::string cluster_names(const Config& config) {
  std::string names;
  for (const auto& cluster : config.clusters) names += (names.empty() ? "" : ", ") + cluster.name;
  return names;
}

Result<const ClusterConfig*> CommandContext::cluster() const {
  if (const auto* found = config_.find_cluster(options_.cluster)) return found;
  if (options_.cluster.empty()) {
    return Error::invalid("several clusters are configured: " + cluster_names(config_))
        .with_hint("say which one with --cluster");
  }
  return Error::invalid(fmt::format("there is no cluster {} in {}; there is {}", options_.cluster,
                                    config_file_.native(), cluster_names(config_)));
}

Result<std::vector<const ClusterConfig*>> CommandContext::clusters() const {
  std::vector<const ClusterConfig*> clusters;
  if (!options_.cluster.empty()) {
    const auto* chosen = TRY(cluster());
    clusters.push_back(chosen);
    return clusters;
  }
  for (const auto& cluster : config_.clusters) clusters.push_back(&cluster);
  return clusters;
}

Result<std::optional<http::Response>> CommandContext::ask_agent(std::string_view method,
                                                                std::string_view target,
                                                                std::stop_token stop) const {
  const auto request = TRY(http::Request::create(method, target));
  auto answer = http::Client(config_.agent.socket).send(request, stop);
  if (!answer && answer.error().kind() == ErrorKind::kNotFound) {
    return std::optional<http::Response>();
  }
  auto response = TRY(std::move(answer));
  if (!response.ok()) return response.error();
  return std::optional<http::Response>(std::move(response));
}

Result<bool> CommandContext::stream_from_agent(
    std::string_view target, std::string body,
    const std::function<Result<void>(std::string_view)>& on_line, std::stop_token stop) const {
  const auto request = TRY(http::Request::create("POST", target, std::move(body)));
  auto answer = http::Client(config_.agent.socket).for_each_line(request, on_line, stop);
  if (!answer && answer.error().kind() == ErrorKind::kNotFound) return false;
  const auto response = TRY(std::move(answer));
  if (!response.ok()) return response.error();
  return true;
}

int report_error(const Error& error) {
  fmt::print(stderr, "pitr: {}{}{}\n", error.message(), error.hint().empty() ? "" : "; ",
             error.hint());
  return exit_code(error.kind());
}

void print(std::string_view text) {
  fmt::print("{}{}", text, text.ends_with('\n') ? "" : "\n");
  std::fflush(stdout);
}

}  // namespace pitr
