#include "repository/expire/stored_state.h"

#include <fmt/format.h>

#include <algorithm>

namespace pitr {

namespace {

class StateReader {
 public:
  // gone: backups of which only backup.json was there; adds to it.
  StateReader(const IncarnationStore& store, Microseconds grace, std::set<BackupId>& gone)
      : store_(store), grace_(grace), gone_(gone) {}

  // False: another expire dropped a backup meanwhile. What was published on it in between may be
  // missing, and with it who needs the dropped one's objects.
  Result<bool> read(StoredState& state);

 private:
  Result<std::vector<ObjectInfo>> list(const std::string& prefix) const {
    return list_all(store_.storage(), prefix);
  }
  Result<bool> read_backups(StoredState& state);
  Result<bool> read_published(const BackupId& id, StoredState& state);
  Result<void> read_attempt(const BackupId& id, StoredState& state);
  static const ObjectInfo* find(const std::vector<ObjectInfo>& objects, const ObjectKey& key);

  const IncarnationStore& store_;
  const Microseconds grace_;
  std::set<BackupId>& gone_;
};

const ObjectInfo* StateReader::find(const std::vector<ObjectInfo>& objects, const ObjectKey& key) {
  const auto found = std::ranges::find(objects, key, &ObjectInfo::key);
  return found == objects.end() ? nullptr : &*found;
}

Result<bool> StateReader::read(StoredState& state) {
  const auto& names = store_.names();
  state.packs = TRY(list(names.pack_prefix()));
  state.tables = TRY(list(names.table_prefix()));
  state.wal = TRY(list(names.wal_prefix()));
  state.facts = TRY(list(names.facts_prefix()));
  state.watermarks = TRY(list(names.watermark_prefix()));
  state.trash = TRY(read_trash(store_));
  state.leases = TRY(read_leases(store_));
  return read_backups(state);
}

Result<bool> StateReader::read_backups(StoredState& state) {
  const auto prefix = store_.names().backup_prefix();
  const auto objects = TRY(list(prefix));
  for (const auto& object : objects) {
    const auto name = std::string_view(object.key.text()).substr(prefix.size());
    const auto id = BackupId::parse(name.substr(0, name.find('/')));
    if (id) state.backup_objects[*id].push_back(object);
  }
  for (const auto& [id, stored] : state.backup_objects) {
    const bool is_published = find(stored, store_.names().backup_json(id)) != nullptr;
    if (is_published && TRY(read_published(id, state))) continue;
    // One that is still listed the next time came back by itself: its removal was undone.
    if (is_published && gone_.insert(id).second) return false;
    TRY(read_attempt(id, state));
  }
  std::ranges::stable_sort(state.published, {},
                           [](const PublishedBackup& one) { return one.manifest.start_time; });
  return true;
}

// False: it was dropped just now.
Result<bool> StateReader::read_published(const BackupId& id, StoredState& state) {
  auto manifest = BackupCatalog(store_).manifest(id);
  if (!manifest) {
    if (manifest.error().kind() == ErrorKind::kNotFound) return false;
    return std::move(manifest).error();
  }
  PublishedBackup backup{std::move(*manifest), {}, false};
  backup.pins = TRY(read_pins(store_, id));
  const auto verified = store_.names().backup_verified_prefix(id);
  backup.is_verified = std::ranges::any_of(
      state.backup_objects.at(id),
      [&](const ObjectInfo& object) { return object.key.text().starts_with(verified); });
  state.published.push_back(std::move(backup));
  return true;
}

Result<void> StateReader::read_attempt(const BackupId& id, StoredState& state) {
  BackupAttempt attempt{id, {}, {}, {}, false};
  const auto& objects = state.backup_objects.at(id);
  const auto& names = store_.names();
  const bool was_dropped = find(objects, names.backup_json(id)) != nullptr ||
                           std::ranges::any_of(state.trash, [&](const TrashRecord& record) {
                             return std::ranges::find(record.backups, id) != record.backups.end();
                           });
  const auto* intent = find(objects, names.backup_intent(id));
  if (intent && !was_dropped) {
    const auto bytes = TRY(store_.get_sealed(ContainerKind::kIntent, intent->key));
    attempt.intent = TRY(with_context(decode_intent(bytes), intent->key.text()));
    attempt.written = intent->modified;
    attempt.is_alive = attempt.written + attempt.intent->good_for + grace_ >= state.now;
  }
  // Of one that is dead nothing counts any more, so nothing has to be readable.
  const auto* manifest = find(objects, names.backup_manifest(id));
  if (attempt.is_alive && manifest) {
    const auto bytes = TRY(store_.get_sealed(ContainerKind::kManifest, manifest->key));
    attempt.manifest = TRY(with_context(decode_manifest(bytes), manifest->key.text()));
  }
  state.attempts.push_back(std::move(attempt));
  return {};
}

}  // namespace

Result<StoredState> read_stored_state(const IncarnationStore& store, Timestamp now,
                                      Microseconds grace) {
  std::set<BackupId> gone;
  while (true) {
    StoredState state;
    state.now = now;
    if (TRY(StateReader(store, grace, gone).read(state))) return state;
  }
}

std::map<BackupId, std::string> held_backups(const StoredState& state) {
  std::map<BackupId, std::string> held;
  for (const auto& lease : state.leases) {
    if (lease.until < state.now) continue;
    for (const auto& backup : lease.needs.backups) {
      held.emplace(backup, fmt::format("in use by {}", lease.needs.holder));
    }
  }
  for (const auto& attempt : state.attempts) {
    if (!attempt.is_alive || !attempt.intent->parent) continue;
    held.emplace(*attempt.intent->parent, fmt::format("backup {} builds on it", attempt.id.text()));
  }
  return held;
}

}  // namespace pitr
