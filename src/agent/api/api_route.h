// The agent's HTTP API as a table: which method and path, who may, where it is served, what it
// does. docs/openapi.json describes the same; a test holds the two against each other.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "agent/agent_member.h"
#include "agent/api/caller.h"
#include "agent/metrics/metrics.h"
#include "http/message.h"
#include "notify/event_log.h"

namespace pitr {

// A request, and who it comes from.
struct ApiCall {
  const http::Request& request;
  const Caller& caller;
  bool may_wait = true;  // else the answer is what there is now
};

enum class Reach : std::uint8_t {
  kSocketOnly,  // never over TCP: it names files of this machine
  kAnywhere,
};

struct ApiRoute {
  std::string method;
  std::string pattern;
  Role least_role = Role::kViewer;
  Reach reach = Reach::kAnywhere;
  std::function<http::Response(const ApiCall&)> handler;
};

// What the handlers use; all of it outlives them.
struct ApiContext {
  const AgentMembers& members;
  Repository& repository;
  const Metrics& metrics;
  const EventLog& events;
};

// The cluster that the path names. kDenied where it isn't the caller's.
Result<const AgentMember*> cluster_of(const ApiContext& context, const ApiCall& call);

// Each file of endpoints adds its own.
void add_status_routes(const ApiContext& context, std::vector<ApiRoute>& routes);
void add_backup_routes(const ApiContext& context, std::vector<ApiRoute>& routes);
void add_job_routes(const ApiContext& context, std::vector<ApiRoute>& routes);
void add_event_routes(const ApiContext& context, std::vector<ApiRoute>& routes);
void add_wal_routes(const ApiContext& context, std::vector<ApiRoute>& routes);

// All of them.
std::vector<ApiRoute> api_routes(const ApiContext& context);

}  // namespace pitr
