#include "programs/pitr/cmd_archive_wal.h"

#include "agent/cluster_service.h"
#include "agent/repository_access.h"
#include "programs/exit_codes.h"

namespace pitr {

Result<int> run_archive_wal(const CommandContext& context, const std::string& path) {
  const auto* cluster = TRY(context.cluster());
  SystemClock clock;
  auto access = TRY(RepositoryAccess::open(context.config(), clock));
  ClusterService service(access->repository(), *cluster, clock);
  std::error_code error;
  const Path absolute = std::filesystem::absolute(path, error);
  if (error) return Error::from_errno(error.value(), "finding " + path);
  TRY(service.archive_wal(absolute));
  return kExitSuccess;
}

}  // namespace pitr
