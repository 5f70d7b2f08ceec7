#include "repository/expire/trash.h"

#include <fmt/format.h>

namespace pitr {

static constexpr std::uint8_t kVersion = 1;
static constexpr std::size_t kLongestName = 512;

static Bytes encode(const std::vector<BackupId>& backups, const std::vector<std::string>& objects,
                    std::uint64_t stored_bytes) {
  ByteWriter out;
  out.u8(kVersion);
  out.varint(stored_bytes);
  out.varint(backups.size());
  for (const auto& backup : backups) out.string(backup.text());
  out.varint(objects.size());
  for (const auto& object : objects) out.string(object);
  return out.take();
}

static Result<void> decode(ByteView bytes, TrashRecord& into) {
  ByteReader in(bytes);
  const auto version = TRY(in.u8());
  if (version != kVersion) {
    return Error::invalid(fmt::format("version {} of trash records is not known", version))
        .with_hint("a newer pitr wrote it: upgrade this one");
  }
  into.stored_bytes = TRY(in.varint());
  for (auto count = TRY(in.varint()); count > 0; --count) {
    const auto text = TRY(in.string(kLongestName));
    auto backup = BackupId::parse(text);
    if (!backup) return Error::corrupt("it names a backup that can't be one");
    into.backups.push_back(std::move(*backup));
  }
  for (auto count = TRY(in.varint()); count > 0; --count) {
    auto name = TRY(in.string(kLongestName));
    into.objects.push_back(std::move(name));
  }
  if (!in.at_end()) return Error::corrupt("bytes follow a trash record");
  return {};
}

Result<TrashRecord> put_trash(const IncarnationStore& store, const Clock& clock,
                              std::vector<BackupId> backups, std::vector<std::string> objects,
                              std::uint64_t stored_bytes) {
  const auto key = store.names().trash(clock.now(), random_name());
  TRY(store.put_sealed(ContainerKind::kTrash, key, encode(backups, objects, stored_bytes)));
  const auto stored = TRY(store.storage().stat(key));
  return TrashRecord{key, stored.modified, std::move(backups), std::move(objects), stored_bytes};
}

Result<std::vector<TrashRecord>> read_trash(const IncarnationStore& store) {
  const auto stored = TRY(list_all(store.storage(), store.names().trash_prefix()));
  std::vector<TrashRecord> records;
  for (const auto& object : stored) {
    const auto bytes = store.get_sealed(ContainerKind::kTrash, object.key);
    if (!bytes) {
      // Another expire was done with it.
      if (bytes.error().kind() == ErrorKind::kNotFound) continue;
      return bytes.error();
    }
    TrashRecord record{object.key, object.modified, {}, {}, 0};
    TRY(with_context(decode(*bytes, record), object.key.text()));
    records.push_back(std::move(record));
  }
  return records;
}

Trash trash_at(const IncarnationStore& store, const std::vector<TrashRecord>& records,
               Timestamp now) {
  Trash trash;
  for (const auto& record : records) {
    if (record.since + TrashRecord::kDropLasts > now) {
      trash.backups.insert(record.backups.begin(), record.backups.end());
    }
    for (const auto& object : record.objects) trash.objects.insert(store.names().prefix() + object);
  }
  return trash;
}

Result<void> check_not_dropped(const IncarnationStore& store, const BackupId& backup,
                               const Trash& trash) {
  const auto gone = Error::conflict(fmt::format("backup {} is being expired", backup.text()))
                        .with_hint("start again, with another backup");
  if (trash.backups.contains(backup)) return gone;
  const auto published = store.storage().stat(store.names().backup_json(backup));
  if (published) return {};
  if (published.error().kind() == ErrorKind::kNotFound) return gone;
  return published.error();
}

}  // namespace pitr
