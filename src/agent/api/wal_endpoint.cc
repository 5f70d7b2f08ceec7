// WAL files that archive_command hands over; programs/small/pitr_archive.cc is the client.
#include "agent/api/api_route.h"
#include "common/log.h"

namespace pitr {

static http::Response store_wal(const ApiContext& context, const ApiCall& call) {
  const auto member = cluster_of(context, call);
  if (!member) return http::Response::of(member.error());
  const auto path = call.request.query_value("path");
  const auto outcome = (*member)->service->archive_wal(path);
  if (!outcome) {
    const Error& error = outcome.error();
    log::error("cluster {}: archiving {}: {}", (*member)->name(), path, error.message());
    // Not found would tell pitr-archive that the cluster isn't known.
    if (error.kind() != ErrorKind::kNotFound) return http::Response::of(error);
    return http::Response::of(Error::transient(error.message()).with_hint(error.hint()));
  }
  log::debug("cluster {}: {} is archived", (*member)->name(), path);
  http::Response response;
  response.body = *outcome == PutOutcome::kStored      ? "stored\n"
                  : *outcome == PutOutcome::kKeptAside ? "kept aside\n"
                                                       : "already there\n";
  return response;
}

void add_wal_routes(const ApiContext& context, std::vector<ApiRoute>& routes) {
  routes.push_back({"POST", "/v1/clusters/{cluster}/wal", Role::kAdmin, Reach::kSocketOnly,
                    [context](const ApiCall& call) { return store_wal(context, call); }});
}

}  // namespace pitr
