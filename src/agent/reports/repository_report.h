// What the repository holds of a cluster: backups, and from when to when it can be restored without
// a hole. Computed from manifests, facts and watermarks alone, so it works without agent and
// server. Reads only; thread-safe.
#pragma once

#include "agent/reports/status.h"
#include "repository/wal/facts_store.h"
#include "repository/wal/wal_archive.h"

namespace pitr {

// An unreadable manifest is an error: a report that leaves a backup out would mislead.
Result<RepositoryReport> report_repository(const IncarnationStore& store);

}  // namespace pitr
