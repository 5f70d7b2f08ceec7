// Backups: what there is, and taking one.
#include "agent/api/api_route.h"
#include "agent/backup_stream.h"

namespace pitr {

static http::Response take_backup(const ApiContext& context, const ApiCall& call) {
  const auto member = cluster_of(context, call);
  if (!member) return http::Response::of(member.error());
  auto options = parse_backup_options(call.request.body);
  if (!options) return http::Response::of(options.error());
  options->asked_by = call.caller.actor();
  return stream_backup(*(*member)->service, std::move(*options), call.request.stop);
}

void add_backup_routes(const ApiContext& context, std::vector<ApiRoute>& routes) {
  routes.push_back({"POST", "/v1/clusters/{cluster}/backups", Role::kOperator, Reach::kAnywhere,
                    [context](const ApiCall& call) { return take_backup(context, call); }});
}

}  // namespace pitr
