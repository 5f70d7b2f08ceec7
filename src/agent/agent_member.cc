#include "agent/agent_member.h"

#include <fmt/format.h>

namespace pitr {

ServiceStatus AgentMember::status() const {
  auto status = service->status();
  status.jobs = runner->status();
  return status;
}

Result<const AgentMember*> find_member(const AgentMembers& members, const std::string& cluster) {
  if (cluster == "-" && members.size() == 1) return &members.front();
  std::string names;
  for (const auto& member : members) {
    if (member.name() == cluster) return &member;
    names += (names.empty() ? "" : ", ") + member.name();
  }
  if (cluster == "-") {
    return Error::invalid("several clusters are configured: " + names)
        .with_hint("say which one with --cluster");
  }
  return Error::not_found(fmt::format("this agent has no cluster {}; it has {}", cluster, names));
}

}  // namespace pitr
