#include "agent/api/caller.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "agent/audit/audit_trail.h"
#include "agent/host.h"

namespace pitr {

static constexpr std::array kRoles{Role::kViewer, Role::kOperator, Role::kAdmin};

std::string_view to_string(Role role) {
  switch (role) {
    case Role::kViewer:
      return "viewer";
    case Role::kOperator:
      return "operator";
    case Role::kAdmin:
      return "admin";
  }
  return "unknown";
}

Result<Role> parse_role(std::string_view name) {
  for (const auto role : kRoles) {
    if (to_string(role) == name) return role;
  }
  return Error::invalid(fmt::format("there is no role \"{}\"", name))
      .with_hint("there are viewer, operator and admin");
}

bool Caller::may_see(std::string_view cluster) const {
  return clusters.empty() || std::ranges::find(clusters, cluster) != clusters.end();
}

AuditActor Caller::actor() const {
  return {name, host_name(), "pitr-agent"};
}

Caller caller_of_socket(const http::Request& request) {
  Caller caller;
  caller.name = request.peer_user ? user_name(*request.peer_user) : this_process().user;
  caller.role = Role::kAdmin;
  return caller;
}

}  // namespace pitr
