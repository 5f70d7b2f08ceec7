#include "programs/pitr/cmd_list.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "agent/reports/stored_backups.h"
#include "agent/repository_access.h"
#include "programs/exit_codes.h"
#include "programs/pitr/backup_view.h"

namespace pitr {
Result<int> run_list(const CommandContext& context) {
  const auto clusters = TRY(context.clusters());
  SystemClock clock;
  auto access = TRY(RepositoryAccess::open(context.config(), clock));
  auto json = nlohmann::json::array();
  for (const auto* cluster : clusters) {
    const auto backups = TRY(stored_backups(access->repository(), cluster->name));
    for (const auto& backup : backups) {
      auto described = TRY(describe_stored(access->repository(), backup));
      json.push_back(std::move(described));
    }
  }
  if (context.json()) {
    print(nlohmann::json{{"backups", std::move(json)}}.dump(2));
  } else {
    print(json.empty() ? "No backups yet; \"pitr backup\" takes one." : list_backups(json));
  }
  return kExitSuccess;
}

Result<int> run_show(const CommandContext& context, const std::string& backup) {
  const auto* cluster = TRY(context.cluster());
  SystemClock clock;
  auto access = TRY(RepositoryAccess::open(context.config(), clock));
  const auto backups = TRY(stored_backups(access->repository(), cluster->name));
  const auto* chosen = TRY(choose_backup(backups, backup, cluster->name));
  const auto json = TRY(describe_stored(access->repository(), *chosen));
  print(context.json() ? json.dump(2) : describe_backup(json));
  return kExitSuccess;
}

}  // namespace pitr
