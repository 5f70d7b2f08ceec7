#include "agent/reports/find_backup.h"

#include <fmt/format.h>

#include <optional>

#include "repository/backup/backup_reader.h"
#include "repository/incarnations.h"

namespace pitr {

Result<FoundBackup> find_backup(Repository& repository, const std::string& cluster,
                                const std::string& wanted) {
  std::optional<FoundBackup> found;
  const auto incarnations = TRY(registered_incarnations(repository, cluster));
  for (const auto& incarnation : incarnations) {
    const IncarnationStore store(repository, incarnation.id, incarnation.segment_size);
    const auto ids = TRY(BackupCatalog(store).list());
    for (const auto& id : ids) {
      if (!id.text().starts_with(wanted)) continue;
      if (found) {
        return Error::invalid(fmt::format("several backups begin with {}", wanted))
            .with_hint("give more of the id: \"pitr list\" shows them");
      }
      found = FoundBackup{store, id};
    }
  }
  if (found) return *found;
  return Error::not_found(fmt::format("cluster {} has no backup {}", cluster, wanted))
      .with_hint("\"pitr list\" shows which there are");
}

}  // namespace pitr
