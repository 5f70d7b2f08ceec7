// What verification found damaged, and not right since: docs/repository-format.md, "Verification".
#pragma once

#include <string>
#include <vector>

#include "repository/backup/backup_manifest.h"
#include "repository/repository.h"

namespace pitr {

// Packs, and logs of WAL (4 GiB), by their names below the incarnation's.
Result<std::vector<std::string>> known_damage(const IncarnationStore& store);
// Of these the packs that the backup's blocks lie in: it can't be restored, or not in full.
std::vector<std::string> damage_of(const BackupManifest& backup, const IncarnationStore& store,
                                   const std::vector<std::string>& known);

}  // namespace pitr
