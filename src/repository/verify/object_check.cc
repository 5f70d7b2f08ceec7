#include "repository/verify/object_check.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "postgres/timeline_history.h"
#include "repository/backup/backup_reader.h"
#include "repository/backup/backup_writer.h"
#include "repository/backup/table_reader.h"
#include "repository/sealed_object.h"
#include "repository/wal/tail_chain.h"

namespace pitr {

namespace {

constexpr std::uint64_t kLongestSmallObject = 1ull << 30;
constexpr std::uint64_t kLongestSummary = 1 << 20;
constexpr std::uint64_t kReadSize = 1 << 20;

bool is_table(ContainerKind kind) {
  return kind == ContainerKind::kFileTable || kind == ContainerKind::kBlockTable ||
         kind == ContainerKind::kDigestTable;
}

template <typename Reader>
Result<void> read_table(const IncarnationStore& store, const std::string& id) {
  const auto table = TRY(Reader::open(store, id));
  while (TRY(table->next())) continue;
  return {};
}

// Members that both have must be equal. Another version may write more or fewer of them, but not
// both: then a name was changed.
bool is_summary_of(const nlohmann::json& stored, const nlohmann::json& expected) {
  bool has_more = false, has_fewer = false;
  for (const auto& [name, value] : stored.items()) {
    const auto found = expected.find(name);
    has_more |= found == expected.end();
    if (found != expected.end() && *found != value) return false;
  }
  for (const auto& member : expected.items()) has_fewer |= !stored.contains(member.key());
  return !(has_more && has_fewer);
}

}  // namespace

Result<void> ObjectCheck::check(const StoredObject& object, VerifyDepth depth) const {
  auto checked = check_once(object, depth);
  if (!checked && checked.error().kind() == ErrorKind::kCorrupt) {
    checked = check_once(object, depth);
  }
  return checked;
}

Result<void> ObjectCheck::check_once(const StoredObject& object, VerifyDepth depth) const {
  if (object.kinds.empty()) return check_summary(object.info.key);
  if (object.is(ContainerKind::kTail)) return check_tails(object.info.key);
  const bool is_opened = depth == VerifyDepth::kFull || object.is(ContainerKind::kManifest);
  return is_opened ? open_all(object) : scrub(object);
}

Result<void> ObjectCheck::scrub(const StoredObject& object) const {
  const auto source = TRY(ObjectSource::open(store_.storage(), object.info.key));
  const MeteredSource metered(*source, meter_);
  Result<void> result;
  for (const auto kind : object.kinds) {
    result = verify_container(metered, store_.identity(kind, object.info.key));
    if (result || result.error().kind() != ErrorKind::kCorrupt) break;
  }
  return with_context(std::move(result), object.info.key.text());
}

Result<void> ObjectCheck::open_all(const StoredObject& object) const {
  const auto& key = object.info.key;
  Result<void> result;
  for (const auto kind : object.kinds) {
    if (kind == ContainerKind::kPack) return open_frames(kind, key);
    if (is_table(kind)) {
      result = read_rows(kind, key);
    } else {
      const auto plain = TRY(read(kind, key, kLongestSmallObject));
      return with_context(check_meaning(kind, key, plain), key.text());
    }
    if (result || result.error().kind() != ErrorKind::kCorrupt) break;
  }
  return result;
}

Result<void> ObjectCheck::open_frames(ContainerKind kind, const ObjectKey& key) const {
  const auto source = TRY(ObjectSource::open(store_.storage(), key));
  const MeteredSource metered(*source, meter_);
  const auto container = TRY(
      ContainerReader::open(metered, store_.identity(kind, key), store_.repository().keyring()));
  TRY(container.check_header());
  Bytes plain;
  for (std::uint32_t first = 0; first < container.frame_count();) {
    auto end = first + 1;
    while (end < container.frame_count() &&
           container.sealed_offset(end + 1) - container.sealed_offset(first) <= kReadSize) {
      ++end;
    }
    TRY(container.read_frames(first, end - first, plain));
    first = end;
  }
  return {};
}

Result<void> ObjectCheck::read_rows(ContainerKind kind, const ObjectKey& key) const {
  TRY(open_frames(kind, key));
  const auto id = key.text().substr(store_.names().table_prefix().size());
  if (kind == ContainerKind::kFileTable) return read_table<FileTableReader>(store_, id);
  if (kind == ContainerKind::kBlockTable) return read_table<BlockTableReader>(store_, id);
  return read_table<DigestTableReader>(store_, id);
}

Result<Bytes> ObjectCheck::read(ContainerKind kind, const ObjectKey& key,
                                std::uint64_t limit_bytes) const {
  const auto source = TRY(ObjectSource::open(store_.storage(), key));
  const MeteredSource metered(*source, meter_);
  const auto container = TRY(
      ContainerReader::open(metered, store_.identity(kind, key), store_.repository().keyring()));
  TRY(container.check_header());
  return container.read_all(limit_bytes);
}

// Tails have no digests to scrub, and only together do they say whether anything is missing.
Result<void> ObjectCheck::check_tails(const ObjectKey& tail) const {
  const auto segment = store_.names().segment_of(tail);
  if (!segment) return Error::corrupt(tail.text() + " is not the name of a tail");
  const auto chain = TRY(read_tail_chain(store_, *segment));
  TRY(meter_.take(chain.bytes.size()));
  // Its complete segment was stored meanwhile, and tails are removed from the end.
  if (chain.damage && !chain.vanished && !store_.storage().stat(store_.names().segment(*segment))) {
    return *chain.damage;
  }
  return {};
}

Result<void> ObjectCheck::check_summary(const ObjectKey& key) const {
  const auto bytes = TRY(store_.storage().get(key, kLongestSummary));
  TRY(meter_.take(bytes.size()));
  const auto prefix = store_.names().backup_prefix();
  const auto name = std::string_view(key.text()).substr(prefix.size());
  const auto id = BackupId::parse(name.substr(0, name.find('/')));
  const auto stored = nlohmann::json::parse(as_text(bytes), nullptr, /*allow_exceptions=*/false);
  if (!id || !stored.is_object()) return Error::corrupt(key.text() + " is no JSON object");
  const auto manifest = BackupCatalog(store_).manifest(*id);
  // Told where the manifest itself is checked.
  if (!manifest) return {};
  const auto expected = to_backup_json(*manifest);
  const bool ends_alike = as_text(bytes).back() == expected.back();
  if (ends_alike && is_summary_of(stored, nlohmann::json::parse(expected))) return {};
  return Error::corrupt(key.text() + " doesn't say what the backup's manifest says");
}

Result<void> ObjectCheck::check_meaning(ContainerKind kind, const ObjectKey& key,
                                        ByteView plain) const {
  if (kind == ContainerKind::kManifest) {
    const auto manifest = TRY(decode_manifest(plain));
    if (store_.names().backup_manifest(manifest.id) == key) return {};
    return Error::corrupt("it is the manifest of another backup");
  }
  if (kind == ContainerKind::kIntent) TRY(decode_intent(plain));
  if (kind == ContainerKind::kWalFile && key.text().ends_with(".history")) {
    const auto timeline = store_.names().timeline_of(key);
    if (!timeline) return Error::corrupt("no timeline has this name");
    TRY(TimelineHistory::parse(*timeline, as_text(plain)));
  }
  return {};
}

}  // namespace pitr
