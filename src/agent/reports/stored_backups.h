// The backups that a cluster has in the repository, as pitr list and the API tell of them. Reads
// only; the functions are thread-safe.
#pragma once

#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "repository/backup/backup_manifest.h"
#include "repository/repository.h"

namespace pitr {

// Of all incarnations, oldest first.
Result<std::vector<BackupManifest>> stored_backups(Repository& repository,
                                                   const std::string& cluster);
// wanted: an id, the beginning of one, or "latest". kInvalid where several begin so.
Result<const BackupManifest*> choose_backup(const std::vector<BackupManifest>& backups,
                                            const std::string& wanted, const std::string& cluster);

// Describes them, with the time of the last verification and the damage that is known since. What
// is known of an incarnation's damage is read once, with its first backup. Not thread-safe.
class BackupDescriber {
 public:
  explicit BackupDescriber(Repository& repository) : repository_(repository) {}
  Result<nlohmann::json> describe(const BackupManifest& manifest);

 private:
  Result<const std::vector<std::string>*> damage_in(const IncarnationStore& store);

  Repository& repository_;
  std::map<std::string, std::vector<std::string>> damage_;  // by the incarnation's prefix
};

}  // namespace pitr
