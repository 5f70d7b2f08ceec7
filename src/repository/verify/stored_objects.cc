#include "repository/verify/stored_objects.h"

#include <algorithm>

#include "repository/backup/file_table.h"

namespace pitr {

namespace {

using Kinds = std::optional<std::vector<ContainerKind>>;

Kinds one(ContainerKind kind) {
  return std::vector{kind};
}

// The last part of the name of an object below wal/.
Kinds kinds_of_wal(std::string_view name) {
  static constexpr std::size_t kSegmentName = 24;
  if (name.contains(".conflict-")) return one(ContainerKind::kConflict);
  if (name.ends_with(".history") || name.ends_with(".partial") || name.ends_with(".backup")) {
    return one(ContainerKind::kWalFile);
  }
  if (name.contains(".tail-")) return one(ContainerKind::kTail);
  return name.size() == kSegmentName ? one(ContainerKind::kSegment) : std::nullopt;
}

Kinds kinds_of_backup(std::string_view name) {
  if (name == "intent") return one(ContainerKind::kIntent);
  if (name == "manifest") return one(ContainerKind::kManifest);
  if (name == "backup.json") return std::vector<ContainerKind>();
  if (name.starts_with("pin-")) return one(ContainerKind::kPin);
  if (name.starts_with("verified-")) return one(ContainerKind::kVerified);
  return std::nullopt;
}

// rest: of the name, behind the incarnation's prefix.
Kinds kinds_of(std::string_view rest) {
  const auto last = rest.substr(rest.rfind('/') + 1);
  const auto is_below = [&](std::string_view folder) { return rest.starts_with(folder); };
  if (rest == "identity") return one(ContainerKind::kIncarnation);
  if (is_below("wal/")) return kinds_of_wal(last);
  if (is_below("backup/")) return kinds_of_backup(last);
  if (is_below("facts/")) return one(ContainerKind::kFacts);
  if (is_below("watermark/")) return one(ContainerKind::kWatermark);
  if (is_below("timeline/")) return one(ContainerKind::kReservation);
  if (is_below("trash/")) return one(ContainerKind::kTrash);
  if (is_below("lease/")) return one(ContainerKind::kLease);
  if (is_below("damaged/")) return one(ContainerKind::kDamagedPack);
  if (is_below("verify/")) return one(ContainerKind::kVerifications);
  if (is_below("pack/") && parse_pack_name(last)) return one(ContainerKind::kPack);
  if (is_below("table/")) {
    return std::vector{ContainerKind::kFileTable, ContainerKind::kBlockTable,
                       ContainerKind::kDigestTable};
  }
  return std::nullopt;
}

}  // namespace

const StoredObject* StoredObjects::find(const ObjectKey& key) const {
  const auto found = std::ranges::lower_bound(
      objects, key, {}, [](const StoredObject& object) { return object.info.key; });
  return found == objects.end() || found->info.key != key ? nullptr : &*found;
}

Result<StoredObjects> list_stored_objects(const IncarnationStore& store) {
  const auto prefix = store.names().prefix();
  auto listed = TRY(list_all(store.storage(), prefix));
  StoredObjects found;
  for (auto& info : listed) {
    auto kinds = kinds_of(std::string_view(info.key.text()).substr(prefix.size()));
    if (kinds) {
      found.objects.push_back({std::move(info), std::move(*kinds)});
    } else {
      found.unknown.push_back(info.key.text());
    }
  }
  return found;
}

}  // namespace pitr
