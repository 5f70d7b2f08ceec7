#include "programs/cmd_list.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "agent/repository_access.h"
#include "agent/status_json.h"
#include "programs/backup_view.h"
#include "programs/exit_codes.h"
#include "repository/backup/backup_reader.h"
#include "repository/incarnations.h"
#include "repository/verify/verify_records.h"

namespace pitr {
namespace {

// With the time at which it was last verified.
Result<nlohmann::json> describe(Repository& repository, const BackupManifest& manifest) {
  const auto segment_size = TRY(SegmentSize::from_bytes(manifest.segment_size_bytes));
  const IncarnationStore store(repository, manifest.incarnation, segment_size);
  const auto verified = TRY(last_verification(store, manifest.id));
  auto json = to_json(manifest);
  json["verified"] = nullptr;
  if (verified) json["verified"] = to_string(verified->time);
  return json;
}

// Of all incarnations, oldest first.
Result<std::vector<BackupManifest>> backups_of(Repository& repository, const std::string& cluster) {
  std::vector<BackupManifest> backups;
  const auto incarnations = TRY(registered_incarnations(repository, cluster));
  for (const auto& incarnation : incarnations) {
    const BackupCatalog catalog(
        IncarnationStore(repository, incarnation.id, incarnation.segment_size));
    auto manifests = TRY(catalog.manifests());
    std::ranges::move(manifests, std::back_inserter(backups));
  }
  return backups;
}

Result<const BackupManifest*> choose(const std::vector<BackupManifest>& backups,
                                     const std::string& wanted, const std::string& cluster) {
  if (backups.empty()) {
    return Error::not_found("there is no backup of cluster " + cluster)
        .with_hint("\"pitr backup\" takes one");
  }
  if (wanted == "latest") return &backups.back();
  const BackupManifest* found = nullptr;
  for (const auto& backup : backups) {
    if (!backup.id.text().starts_with(wanted)) continue;
    if (found) {
      return Error::invalid(fmt::format("several backups begin with {}", wanted))
          .with_hint("give more of the id: \"pitr list\" shows them");
    }
    found = &backup;
  }
  if (found) return found;
  return Error::not_found(fmt::format("cluster {} has no backup {}", cluster, wanted))
      .with_hint("\"pitr list\" shows which there are");
}

}  // namespace

Result<int> run_list(const CommandContext& context) {
  const auto clusters = TRY(context.clusters());
  SystemClock clock;
  auto access = TRY(RepositoryAccess::open(context.config(), clock));
  auto json = nlohmann::json::array();
  for (const auto* cluster : clusters) {
    const auto backups = TRY(backups_of(access->repository(), cluster->name));
    for (const auto& backup : backups) {
      auto described = TRY(describe(access->repository(), backup));
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
  const auto backups = TRY(backups_of(access->repository(), cluster->name));
  const auto* chosen = TRY(choose(backups, backup, cluster->name));
  const auto json = TRY(describe(access->repository(), *chosen));
  print(context.json() ? json.dump(2) : describe_backup(json));
  return kExitSuccess;
}

}  // namespace pitr
