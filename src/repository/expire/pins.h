// Pins keep a backup whatever its policy says, under a label that people give, for good or until a
// date. Sealed objects beside the backup; docs/repository-format.md, "Pins".
//
// Durable on success. Thread-safe.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "common/clock.h"
#include "repository/repository.h"

namespace pitr {

struct BackupPin {
  ObjectKey key;
  std::string label;
  std::optional<Timestamp> expires;
};

inline constexpr std::size_t kLongestPinLabel = 200;

// Replaces a pin of the same label. kConflict where the backup is being expired, kNotFound where it
// isn't there, kInvalid for an empty or too long label.
Result<void> pin_backup(const IncarnationStore& store, const BackupId& backup,
                        const std::string& label, std::optional<Timestamp> expires);
// The number of pins that went: those of the label, or all where it is empty.
Result<std::size_t> unpin_backup(const IncarnationStore& store, const BackupId& backup,
                                 const std::string& label);
Result<std::vector<BackupPin>> read_pins(const IncarnationStore& store, const BackupId& backup);

}  // namespace pitr
