// Backups: what there is, and taking one.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "agent/api/api_route.h"
#include "agent/api/job_options.h"
#include "agent/api/progress_stream.h"
#include "agent/reports/status_json.h"
#include "agent/reports/stored_backups.h"
#include "common/log.h"

namespace pitr {
namespace {

void log_end(const std::string& cluster, const Result<BackupManifest>& result) {
  if (!result) {
    return log::error("cluster {}: the backup failed: {}", cluster, result.error().message());
  }
  log::info("cluster {}: backup {} is complete: {} files, {} bytes, read {}, stored {} bytes; {}",
            cluster, result->id.text(), result->file_count, result->total_bytes, result->read_bytes,
            result->stored_bytes, result->reading_reason);
}

http::Response take_backup(const ApiContext& context, const ApiCall& call) {
  const auto member = cluster_of(context, call);
  if (!member) return http::Response::of(member.error());
  auto options = parse_backup_options(call.request.body);
  if (!options) return http::Response::of(options.error());
  options->asked_by = call.caller.actor();
  auto work = [&service = *(*member)->service, options = std::move(*options)](
                  Observer& observer, std::stop_token stop) -> Result<nlohmann::json> {
    const auto backup = service.take_backup(options, observer, stop);
    log_end(service.config().name, backup);
    if (!backup) return backup.error();
    return to_json(*backup);
  };
  return stream_work("backup", std::move(work), call.request.stop);
}

Result<nlohmann::json> list_backups(Repository& repository, const std::string& cluster) {
  const auto backups = TRY(stored_backups(repository, cluster));
  BackupDescriber describer(repository);
  auto json = nlohmann::json::array();
  for (const auto& backup : backups) {
    auto described = TRY(describer.describe(backup));
    json.push_back(std::move(described));
  }
  return nlohmann::json{{"backups", std::move(json)}};
}

Result<nlohmann::json> show_backup(Repository& repository, const std::string& cluster,
                                   const std::string& wanted) {
  const auto backups = TRY(stored_backups(repository, cluster));
  const auto* chosen = TRY(choose_backup(backups, wanted, cluster));
  return BackupDescriber(repository).describe(*chosen);
}

http::Response answer(const ApiContext& context, const ApiCall& call) {
  const auto member = cluster_of(context, call);
  if (!member) return http::Response::of(member.error());
  const auto wanted = call.request.parameter("backup");
  const auto json = wanted.empty() ? list_backups(context.repository, (*member)->name())
                                   : show_backup(context.repository, (*member)->name(), wanted);
  if (!json) return http::Response::of(json.error());
  return http::Response::json(json->dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) +
                              "\n");
}

}  // namespace

void add_backup_routes(const ApiContext& context, std::vector<ApiRoute>& routes) {
  const auto read = [context](const ApiCall& call) { return answer(context, call); };
  routes.push_back(
      {"GET", "/v1/clusters/{cluster}/backups", Role::kViewer, Reach::kAnywhere, read});
  routes.push_back(
      {"GET", "/v1/clusters/{cluster}/backups/{backup}", Role::kViewer, Reach::kAnywhere, read});
  routes.push_back({"POST", "/v1/clusters/{cluster}/backups", Role::kOperator, Reach::kAnywhere,
                    [context](const ApiCall& call) { return take_backup(context, call); }});
}

}  // namespace pitr
