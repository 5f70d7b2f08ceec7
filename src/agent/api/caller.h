// Who asks the agent for something, and what he may do. Plain values.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"
#include "http/message.h"
#include "repository/audit/audit_entry.h"

namespace pitr {

// Each may do what the ones before may.
enum class Role : std::uint8_t {
  kViewer,    // look
  kOperator,  // take backups, verify, see what expire would do
  kAdmin,     // expire
};
std::string_view to_string(Role role);  // "viewer", "operator", "admin"
Result<Role> parse_role(std::string_view name);

struct Caller {
  std::string name;  // "postgres", "token grafana"
  Role role = Role::kViewer;
  std::vector<std::string> clusters;  // whose he is; empty: of all

  bool may_see(std::string_view cluster) const;
  AuditActor actor() const;  // for the audit trail
};

// The Unix socket is open to its owner and to root alone: whoever comes that way may do everything.
Caller caller_of_socket(const http::Request& request);

}  // namespace pitr
