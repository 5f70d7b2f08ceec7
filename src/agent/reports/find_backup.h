// A backup as people name it.
#pragma once

#include <string>

#include "repository/repository.h"

namespace pitr {

struct FoundBackup {
  IncarnationStore store;
  BackupId id;
};

// By its id or the beginning of it, in any of the cluster's incarnations. kInvalid where several
// begin so, kNotFound where none does.
Result<FoundBackup> find_backup(Repository& repository, const std::string& cluster,
                                const std::string& wanted);

}  // namespace pitr
