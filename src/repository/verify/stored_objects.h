// What an incarnation has, by names: which kind of container stands under each. Plain values.
#pragma once

#include <map>
#include <vector>

#include "repository/backup/backup_manifest.h"
#include "repository/repository.h"

namespace pitr {

struct StoredObject {
  ObjectInfo info;
  // What may stand under this name; none: no container (backup.json).
  std::vector<ContainerKind> kinds;

  bool is(ContainerKind kind) const { return kinds.size() == 1 && kinds.front() == kind; }
};

struct StoredObjects {
  std::vector<StoredObject> objects;  // ascending by name
  std::vector<std::string> unknown;   // names that no version known here writes

  const StoredObject* find(const ObjectKey& key) const;
};

// In order of names, so facts before WAL: of all facts that are listed the segment is there too, or
// was removed.
Result<StoredObjects> list_stored_objects(const IncarnationStore& store);

}  // namespace pitr
