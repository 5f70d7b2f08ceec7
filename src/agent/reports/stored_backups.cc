#include "agent/reports/stored_backups.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "agent/reports/known_damage.h"
#include "agent/reports/status_json.h"
#include "repository/backup/backup_reader.h"
#include "repository/incarnations.h"
#include "repository/verify/verify_records.h"

namespace pitr {

Result<const std::vector<std::string>*> BackupDescriber::damage_in(const IncarnationStore& store) {
  const auto& prefix = store.names().prefix();
  const auto known = damage_.find(prefix);
  if (known != damage_.end()) return &known->second;
  auto damage = TRY(known_damage(store));
  return &damage_.emplace(prefix, std::move(damage)).first->second;
}

Result<nlohmann::json> BackupDescriber::describe(const BackupManifest& manifest) {
  const auto segment_size = TRY(SegmentSize::from_bytes(manifest.segment_size_bytes));
  const IncarnationStore store(repository_, manifest.incarnation, segment_size);
  const auto verified = TRY(last_verification(store, manifest.id));
  auto json = to_json(manifest);
  json["verified"] = nullptr;
  if (verified) json["verified"] = to_string(verified->time);
  json["damaged"] = damage_of(manifest, store, *TRY(damage_in(store)));
  return json;
}

Result<std::vector<BackupManifest>> stored_backups(Repository& repository,
                                                   const std::string& cluster) {
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

Result<const BackupManifest*> choose_backup(const std::vector<BackupManifest>& backups,
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

}  // namespace pitr
