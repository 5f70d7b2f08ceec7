#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "repository/backup/backup_reader.h"

namespace pitr {

namespace {
struct BackupObjects {
  bool has_intent = false;
  bool is_published = false;
};
}  // namespace

// What is there of each backup. Names that pitr doesn't write are passed over.
static Result<std::map<BackupId, BackupObjects>> list_backups(const IncarnationStore& store) {
  const auto prefix = store.names().backup_prefix();
  const auto objects = TRY(list_all(store.storage(), prefix));
  std::map<BackupId, BackupObjects> backups;
  for (const auto& object : objects) {
    const auto name = std::string_view(object.key.text()).substr(prefix.size());
    auto id = BackupId::parse(name.substr(0, name.find('/')));
    if (!id) continue;
    auto& backup = backups[*id];
    if (object.key == store.names().backup_intent(*id)) backup.has_intent = true;
    if (object.key == store.names().backup_json(*id)) backup.is_published = true;
  }
  return backups;
}

Result<std::vector<BackupId>> BackupCatalog::list() const {
  const auto backups = TRY(list_backups(store_));
  std::vector<BackupId> published;
  for (const auto& [id, backup] : backups) {
    if (backup.is_published) published.push_back(id);
  }
  return published;
}

Result<std::vector<BackupId>> BackupCatalog::unfinished() const {
  const auto backups = TRY(list_backups(store_));
  std::vector<BackupId> unfinished;
  for (const auto& [id, backup] : backups) {
    if (backup.has_intent && !backup.is_published) unfinished.push_back(id);
  }
  return unfinished;
}

static Error no_backup(const BackupId& id) {
  return Error::not_found(fmt::format("there is no backup {}", id.text()))
      .with_hint("\"pitr list\" shows all; one that was never finished does not exist");
}

Result<BackupManifest> BackupCatalog::manifest(const BackupId& id) const {
  const auto published = store_.storage().stat(store_.names().backup_json(id));
  if (!published) {
    if (published.error().kind() != ErrorKind::kNotFound) return published.error();
    return no_backup(id);
  }
  const auto key = store_.names().backup_manifest(id);
  const auto encoded = store_.get_sealed(ContainerKind::kManifest, key);
  if (!encoded) {
    if (encoded.error().kind() != ErrorKind::kNotFound) return encoded.error();
    const auto still = store_.storage().stat(store_.names().backup_json(id));
    if (!still && still.error().kind() == ErrorKind::kNotFound) return no_backup(id);
    return Error::corrupt(fmt::format("{} is gone, but its backup.json is there", key.text()));
  }
  auto manifest = TRY(with_context(decode_manifest(*encoded), key.text()));
  const bool is_its_own = manifest.id == id && manifest.incarnation == store_.id();
  if (is_its_own) return manifest;
  return Error::corrupt(fmt::format("{} is the manifest of {} in {}", key.text(),
                                    manifest.id.text(), to_string(manifest.incarnation)));
}

void add_contents(const IncarnationStore& store, const BackupManifest& manifest,
                  std::set<std::string>& into) {
  for (const auto& pack : manifest.packs) into.insert(pack.key.text());
  into.insert(store.names().table(manifest.file_table).text());
  for (const auto& tables : {manifest.block_tables, manifest.digest_tables}) {
    for (const auto& table : tables) into.insert(store.names().table(table.id).text());
  }
}

Result<std::vector<BackupManifest>> BackupCatalog::manifests() const {
  const auto ids = TRY(list());
  std::vector<BackupManifest> manifests;
  for (const auto& id : ids) {
    auto read = manifest(id);
    if (!read) {
      // Expired since they were listed.
      if (read.error().kind() == ErrorKind::kNotFound) continue;
      return std::move(read).error();
    }
    manifests.push_back(std::move(*read));
  }
  // Ids tell the second only.
  std::ranges::stable_sort(manifests, {}, &BackupManifest::start_time);
  return manifests;
}

}  // namespace pitr
