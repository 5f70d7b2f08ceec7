// What the writer and the reader of facts share: ids and limits of docs/repository-format.md,
// "Facts". For facts_codec.cc and facts_decoder.cc alone.
#pragma once

#include <cstddef>
#include <cstdint>

namespace pitr::wal::facts_format {

inline constexpr std::uint8_t kVersion = 1;

enum Section : std::uint64_t {
  kContinuity = 1,
  kXacts = 2,
  kRestorePoints = 3,
  kCheckpoint = 4,
  kBackupEnds = 5,
  kChanges = 6,
  kParameters = 7,
};

enum Flag : std::uint64_t {
  kLinked = 1,
  kSwitch = 2,
  kOverwriteContrecord = 4,
  kEndOfRecovery = 8,
  kWalLevelMinimal = 16,
};
inline constexpr std::uint64_t kAllFlags = 31;

inline constexpr std::size_t kMaxNameBytes = 64;

}  // namespace pitr::wal::facts_format
