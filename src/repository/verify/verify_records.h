// What verification leaves in the repository, for retention, for backups and for people:
// docs/repository-format.md, "Verification".
//
// Success of put means durable. Thread-safe.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "common/clock.h"
#include "repository/repository.h"

namespace pitr {

enum class VerifiedHow : std::uint8_t {
  kInFull = 1,  // all of it at once, and each block is the one that the backup's digests tell of
  kInTurn = 2,  // by a cycle: each part within the period, and the map; no block by its digest
};

// Everything that the backup needs was right, in a full verification or in turn.
struct BackupVerification {
  Timestamp time;
  std::uint64_t objects = 0;  // that it needs
  VerifiedHow how = VerifiedHow::kInFull;
};

// Replaces earlier ones. A backup that was dropped meanwhile is left alone.
Result<void> put_verification(const IncarnationStore& store, const BackupId& backup,
                              const BackupVerification& verification);
// Of a backup that is no longer right.
Result<void> remove_verifications(const IncarnationStore& store, const BackupId& backup);
// The last one; nullopt: never, or damage was found since.
Result<std::optional<BackupVerification>> last_verification(const IncarnationStore& store,
                                                            const BackupId& backup);

// A pack that was damaged or missing. The next backup stores its blocks afresh.
struct DamagedPack {
  ObjectKey pack;
  Timestamp found;
  std::string problem;
};
Result<void> put_damaged_pack(const IncarnationStore& store, const DamagedPack& damaged);
// It is right after all, or nobody needs it any more.
Result<void> remove_damaged_pack(const IncarnationStore& store, const ObjectKey& pack);
// In order of names. A record that can't be read counts: its name says which pack it is of.
Result<std::vector<DamagedPack>> damaged_packs(const IncarnationStore& store);

}  // namespace pitr
