// The backups that a cluster has in the repository, as pitr list and the API tell of them. Reads
// only; thread-safe.
#pragma once

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
// With the time at which it was last verified.
Result<nlohmann::json> describe_stored(Repository& repository, const BackupManifest& manifest);

}  // namespace pitr
