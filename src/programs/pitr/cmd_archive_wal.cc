#include "programs/pitr/cmd_archive_wal.h"

#include <fmt/format.h>

#include "agent/cluster_service.h"
#include "agent/repository_access.h"
#include "http/message.h"
#include "programs/exit_codes.h"

namespace pitr {

// pitr-archive reads no configuration, and so knows the agent's usual socket only: an agent that
// listens elsewhere is asked here. False: none answers.
static Result<bool> agent_archived(const CommandContext& context, const std::string& cluster,
                                   const Path& file) {
  if (context.config().agent.socket == AgentConfig().socket) return false;
  const auto answer =
      TRY(context.ask_agent("POST", fmt::format("/v1/clusters/{}/wal?path={}", cluster,
                                                http::percent_encode(file.native()))));
  return answer.has_value();
}

Result<int> run_archive_wal(const CommandContext& context, const std::string& path) {
  const auto* cluster = TRY(context.cluster());
  std::error_code error;
  const Path absolute = std::filesystem::absolute(path, error);
  if (error) return Error::from_errno(error.value(), "finding " + path);
  if (TRY(agent_archived(context, cluster->name, absolute))) return kExitSuccess;
  SystemClock clock;
  auto access = TRY(RepositoryAccess::open(context.config(), clock));
  ClusterService service(access->repository(), *cluster, clock);
  TRY(service.archive_wal(absolute));
  return kExitSuccess;
}

}  // namespace pitr
