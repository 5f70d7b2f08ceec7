// What takes long to find out: everything that is stored of a cluster, and what its policy makes of
// the backups. Lists the cluster's objects and reads its manifests; reads only. Functions only;
// thread-safe.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>

#include "config/config.h"
#include "repository/expire/expire.h"
#include "repository/repository.h"
#include "retention/retention.h"

namespace pitr {

struct ClusterSurvey {
  std::map<std::string, ObjectCount> stored;     // by kind: "pack", "table", "wal", …
  std::map<std::string, std::uint64_t> by_tier;  // how many backups each tier keeps
  std::uint64_t not_kept = 0;                    // backups that the next expire lets go
  std::uint64_t verified = 0;
  Timestamp registered;     // when the cluster was taken up, or its newest database was
  Timestamp last_verified;  // unset: no backup was verified yet
};

Result<ClusterSurvey> survey_cluster(Repository& repository, const std::string& cluster,
                                     const RetentionConfig& retention, const Clock& clock);

struct KeySurvey {
  std::uint32_t epoch = 0;  // of the newest data key; 0: not encrypted
  // The day on which it was made; where that isn't known, when it was stored (the store's clock).
  Timestamp created;
};
Result<KeySurvey> survey_keys(Repository& repository);

}  // namespace pitr
