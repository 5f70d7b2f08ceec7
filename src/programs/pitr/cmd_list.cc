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
  BackupDescriber describer(access->repository());
  auto json = nlohmann::json::array();
  int worst = kExitSuccess;
  const auto told = [&](const Error& error) { worst = report_error(error); };
  for (const auto* cluster : clusters) {
    auto backups = stored_backups(access->repository(), cluster->name);
    if (!backups) {
      told(std::move(backups).error().with_context("cluster " + cluster->name));
      continue;
    }
    for (const auto& backup : *backups) {
      auto described = describer.describe(backup);
      if (described) {
        json.push_back(std::move(*described));
      } else {
        told(std::move(described).error());
      }
    }
  }
  if (context.json()) {
    print(nlohmann::json{{"backups", std::move(json)}}.dump(2));
  } else if (!json.empty()) {
    print(list_backups(json));
  } else if (worst == kExitSuccess) {
    print("No backups yet; \"pitr backup\" takes one.");
  }
  return worst;
}

Result<int> run_show(const CommandContext& context, const std::string& backup) {
  const auto* cluster = TRY(context.cluster());
  SystemClock clock;
  auto access = TRY(RepositoryAccess::open(context.config(), clock));
  const auto backups = TRY(stored_backups(access->repository(), cluster->name));
  const auto* chosen = TRY(choose_backup(backups, backup, cluster->name));
  const auto json = TRY(BackupDescriber(access->repository()).describe(*chosen));
  print(context.json() ? json.dump(2) : describe_backup(json));
  return kExitSuccess;
}

}  // namespace pitr
